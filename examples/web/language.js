// A text that goes on, and a conversation.

import {$, showError} from './page.js';

/** Shows a language model; returns what ends that. */
export function showLanguage(model) {
  const session = model.session();
  const closing = new AbortController();
  const {signal} = closing;
  let running;  // an AbortController
  let messages = [];

  /** Shows the pieces of a generation, and its speed; false if it was ended. */
  async function show(generation, button, place) {
    const mine = running;
    const name = button.textContent;
    button.textContent = 'Stop';
    $('speed').textContent = '';
    let start;
    try {
      for await (const piece of generation) {
        start ??= performance.now();  // the prompt takes a time of its own
        if (mine !== running) return false;
        place.append(piece);
        const tokens = generation.tokens.length;
        const seconds = (performance.now() - start) / 1000;
        const speed = tokens > 1 && seconds > 0 ?
            `, ${((tokens - 1) / seconds).toFixed(0)} tokens/s` :
            '';
        $('speed').textContent = `${tokens} tokens${speed}`;
      }
      if (generation.end === 'context') {
        $('speed').textContent += '; the context is full';
      }
      return true;
    } catch (error) {
      if (error.name !== 'AbortError') showError(error.message);
      return false;
    } finally {
      if (mine === running) {
        running = undefined;
        button.textContent = name;
      }
    }
  }

  /** Ends what runs, if that is what a click means. */
  function stops() {
    if (!running) return false;
    running.abort();
    return true;
  }

  function tell(event) {
    event.preventDefault();
    showError('');
    if (stops()) return;
    running = new AbortController();
    session.sequence.truncate(0);
    const prompt = $('prompt').value;
    const given = document.createElement('span');
    given.className = 'given';
    given.textContent = prompt;
    $('text').replaceChildren(given);
    $('text').hidden = false;
    const generation = session.generate(prompt, {
      temperature: $('temperature').valueAsNumber,
      maxTokens: $('max-tokens').valueAsNumber,
      seed: Math.floor(Math.random() * 2 ** 32),
      signal: running.signal,
    });
    show(generation, $('go'), $('text'));
  }

  function addMessage(role, content) {
    const item = document.createElement('li');
    item.className = role;
    item.textContent = content;
    $('messages').append(item);
    return item;
  }

  async function send(event) {
    event.preventDefault();
    showError('');
    if (stops()) return;
    const content = $('message').value.trim();
    if (content === '') return;
    $('message').value = '';
    running = new AbortController();
    messages.push({role: 'user', content});
    addMessage('user', content);
    const answer = addMessage('assistant', '');
    let generation;
    try {
      generation = session.chat(messages, {
        seed: Math.floor(Math.random() * 2 ** 32),
        signal: running.signal,
      });
    } catch (error) {
      running = undefined;
      showError(error.message);
      return;
    }
    const talk = messages;
    await show(generation, $('send'), answer);
    talk.push({role: 'assistant', content: answer.textContent});
    if (answer.textContent === '') answer.remove();
  }

  function forget() {
    running?.abort();
    messages = [];
    $('messages').replaceChildren();
    $('speed').textContent = '';
  }

  function choose(chat) {
    running?.abort();
    $('story').hidden = chat;
    $('chat').hidden = !chat;
    $('tab-story').setAttribute('aria-selected', String(!chat));
    $('tab-chat').setAttribute('aria-selected', String(chat));
    $('speed').textContent = '';
  }

  forget();
  $('text').hidden = true;
  $('language').hidden = false;
  $('tabs').hidden = !model.hasChat;
  choose(model.hasChat);
  $('max-tokens').max = session.context || '';
  $('tab-story').addEventListener('click', () => choose(false), {signal});
  $('tab-chat').addEventListener('click', () => choose(true), {signal});
  $('story').addEventListener('submit', tell, {signal});
  $('chat').addEventListener('submit', send, {signal});
  $('forget').addEventListener('click', forget, {signal});
  $('message').addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      send(event);
    }
  }, {signal});
  return () => {
    running?.abort();
    running = undefined;
    closing.abort();
  };
}
