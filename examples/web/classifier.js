// A drawing of 28 x 28 pixels, and what a network sees in it.

import {$} from './page.js';

const SIDE = 28;
const NAMES = {
  numbers: [],  // the classes' own
  fashion: [
    'T-shirt',
    'Trousers',
    'Pullover',
    'Dress',
    'Coat',
    'Sandal',
    'Shirt',
    'Sneaker',
    'Bag',
    'Ankle boot',
  ],
};

function softmax(values) {
  const largest = Math.max(...values);
  const powers = [...values].map((value) => Math.exp(value - largest));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}

function isProbability(values) {
  return values.every((value) => value >= 0) &&
      Math.abs(values.reduce((a, b) => a + b) - 1) < 1e-3;
}

/** Shows a classifier; returns what ends that. */
export function showClassifier(model) {
  const session = model.session();
  const closing = new AbortController();
  const {signal} = closing;
  const canvas = $('canvas');
  const brush = canvas.getContext('2d', {willReadFrequently: true});
  const small = document.createElement('canvas');
  small.width = small.height = SIDE;
  const pixels = small.getContext('2d', {willReadFrequently: true});
  pixels.imageSmoothingQuality = 'high';
  const classes = model.outputs[0].elements;
  let last;  // where the pen was
  let shares;

  function look() {
    pixels.drawImage(canvas, 0, 0, SIDE, SIDE);
    const {data} = pixels.getImageData(0, 0, SIDE, SIDE);
    const image = Float32Array.from(
        {length: SIDE * SIDE}, (_, i) => data[4 * i] / 255);
    const start = performance.now();
    const [scores] = session.run(image);
    const time = performance.now() - start;
    shares = isProbability(scores) ? scores : softmax(scores);
    showBars();
    $('time').textContent = `${time.toFixed(2)} ms`;
  }

  function showBars() {
    const names = NAMES[$('names').value];
    const best = shares.indexOf(Math.max(...shares));
    const items = Array.from(shares, (share, i) => {
      const item = document.createElement('li');
      if (i === best) item.className = 'best';
      const [name, track, bar, percent] =
          Array.from({length: 4}, () => document.createElement('div'));
      name.textContent = names[i] ?? String(i);
      track.className = 'track';
      bar.className = 'bar';
      bar.style.width = `${100 * share}%`;
      track.append(bar);
      percent.className = 'share';
      percent.textContent = `${(100 * share).toFixed(0)} %`;
      item.append(name, track, percent);
      return item;
    });
    $('bars').replaceChildren(...items);
  }

  function place(event) {
    const frame = canvas.getBoundingClientRect();
    const scale = canvas.width / frame.width;
    return {
      x: (event.clientX - frame.left) * scale,
      y: (event.clientY - frame.top) * scale,
    };
  }

  function draw(event) {
    const now = place(event);
    brush.beginPath();
    brush.moveTo(last.x, last.y);
    brush.lineTo(now.x, now.y);
    brush.stroke();
    last = now;
  }

  function clear() {
    brush.fillStyle = '#000';
    brush.fillRect(0, 0, canvas.width, canvas.height);
    shares = new Float32Array(classes);
    showBars();
    $('time').textContent = 'Draw something: bright on dark, as large as the frame.';
  }

  brush.strokeStyle = '#fff';
  brush.lineCap = brush.lineJoin = 'round';
  brush.lineWidth = 22;
  canvas.addEventListener('pointerdown', (event) => {
    canvas.setPointerCapture(event.pointerId);
    last = place(event);
    draw(event);
    look();
  }, {signal});
  canvas.addEventListener('pointermove', (event) => {
    if (!last) return;
    draw(event);
    look();
  }, {signal});
  for (const name of ['pointerup', 'pointercancel']) {
    canvas.addEventListener(name, () => last = undefined, {signal});
  }
  $('clear').addEventListener('click', clear, {signal});
  $('names').addEventListener('change', showBars, {signal});
  $('classifier').hidden = false;
  clear();
  return () => closing.abort();
}
