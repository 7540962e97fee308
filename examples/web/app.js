// Loads a model and shows what can be done with it.

import {LutraError, Model} from './lutra/index.js';
import {showClassifier} from './classifier.js';
import {$, showError} from './page.js';
import {showLanguage} from './language.js';

// More gain nothing with models that a page holds.
const THREADS = Math.min(navigator.hardwareConcurrency ?? 1, 4);

let model;
let close = () => {};  // what the model's panel needs no more
let loading;           // an AbortController

function bytes(count) {
  const units = ['bytes', 'KB', 'MB', 'GB'];
  let unit = 0;
  while (count >= 1000 && unit < 3) {
    count /= 1000;
    ++unit;
  }
  return `${unit === 0 ? count : count.toPrecision(3)} ${units[unit]}`;
}

function describe(value) {
  return `${value.name} [${value.shape.join(', ')}], ${value.type}`;
}

function isClassifier({inputs, outputs}) {
  return inputs.length === 1 && inputs[0].elements === 28 * 28 &&
      inputs[0].type === 'float32' && outputs[0].elements > 1 &&
      outputs[0].elements <= 100;
}

function showFacts(name, kind) {
  const facts = [
    ['Name', name], ['Kind', kind], ['Size', bytes(model.size)],
    ['Threads', model.threads],
  ];
  const graph = JSON.parse(model.metadata['lutra.graph'] ?? '{}');
  if (graph.nodes) facts.push(['Graph', `${graph.nodes.length} nodes`]);
  if (model.vocabulary > 0) {
    facts.push(['Vocabulary', `${model.vocabulary.toLocaleString('en')} tokens`]);
  } else {
    facts.push(['Inputs', model.inputs.map(describe).join('; ')]);
    facts.push(['Outputs', model.outputs.map(describe).join('; ')]);
  }
  $('facts').replaceChildren(...facts.flatMap(([term, text]) => {
    const [dt, dd] = ['dt', 'dd'].map((tag) => document.createElement(tag));
    dt.textContent = term;
    dd.textContent = text;
    return [dt, dd];
  }));
  $('facts').hidden = false;
}

function showModel(name) {
  if (model.vocabulary > 0 && model.hasTokenizer) {
    showFacts(name, 'language model');
    close = showLanguage(model);
  } else if (isClassifier(model)) {
    showFacts(name, 'classifier of images');
    close = showClassifier(model);
  } else {
    showFacts(name, model.vocabulary > 0 ? 'language model without a tokenizer' :
                                           'network');
  }
}

async function load(source, name) {
  loading?.abort();
  close();
  close = () => {};
  model?.dispose();
  model = undefined;
  showError('');
  for (const id of ['facts', 'language', 'classifier']) $(id).hidden = true;
  const mine = loading = new AbortController();
  $('bar').removeAttribute('value');
  $('progress-text').textContent = '';
  $('progress').hidden = false;
  const onProgress = (done, total) => {
    if (mine !== loading) return;
    if (total) $('bar').value = done / total;
    $('progress-text').textContent =
        total ? `${bytes(done)} of ${bytes(total)}` : bytes(done);
  };
  try {
    const loaded = await Model.load(
        source, {name, onProgress, signal: mine.signal, threads: THREADS});
    if (mine !== loading) return loaded.dispose();
    model = loaded;
    $('loading').classList.add('loaded');
    showModel(name);
  } catch (error) {
    if (mine !== loading) return;
    // A browser tells pages nothing about addresses that it may not read.
    showError(
        error instanceof LutraError ? error.message :
                                      `${name} cannot be loaded: ${error.message}`);
  }
  if (mine === loading) $('progress').hidden = true;
}

function loadFile(file) {
  if (file) load(file, file.name);
}

function loadAddress(address) {
  const url = new URL(address, location.href);
  load(url, url.pathname.split('/').pop() || address);
}

$('file').addEventListener('change', ({target}) => loadFile(target.files[0]));
$('address-form').addEventListener('submit', (event) => {
  event.preventDefault();
  try {
    loadAddress($('address').value.trim());
  } catch {
    showError('That is no address.');
  }
});
// Files may be dropped anywhere: beside the frame the browser would leave the
// page for them.
addEventListener('dragover', (event) => {
  event.preventDefault();
  $('drop').classList.add('over');
});
addEventListener('dragleave', () => $('drop').classList.remove('over'));
addEventListener('drop', (event) => {
  event.preventDefault();
  $('drop').classList.remove('over');
  loadFile(event.dataTransfer.files[0]);
});

const address = new URLSearchParams(location.search).get('model');
if (address) {
  $('address').value = address;
  loadAddress(address);
}
navigator.serviceWorker?.register('service_worker.js');
