// Keeps the page for times without a network. Models are not kept.

const CACHE = 'lutra-page';
const FILES = [
  './',
  'app.js',
  'classifier.js',
  'icon.svg',
  'language.js',
  'page.js',
  'style.css',
  'lutra/errors.js',
  'lutra/generation.js',
  'lutra/helper.js',
  'lutra/index.js',
  'lutra/instance.js',
  'lutra/lutra.wasm',
  'lutra/model.js',
  'lutra/session.js',
  'lutra/source.js',
  'lutra/stop_filter.js',
  'lutra/worker.js',
];

addEventListener('install', (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES)));
  skipWaiting();
});
addEventListener('activate', (event) => event.waitUntil(clients.claim()));

// The network's version if there is one, so that a new page is seen at once.
async function answer(request) {
  const cache = await caches.open(CACHE);
  const {pathname} = new URL(request.url);
  try {
    const response = await fetch(request);
    if (response.ok) await cache.put(pathname, response.clone());
    return response;
  } catch (error) {
    const kept = await cache.match(pathname);
    if (kept) return kept;
    throw error;
  }
}

// Kept if it is asked for.
const THREADS = 'lutra/lutra-threads.wasm';
const own = new Set([...FILES, THREADS].map((file) => new URL(file, registration.scope).pathname));
addEventListener('fetch', (event) => {
  const {origin, pathname} = new URL(event.request.url);
  if (origin === location.origin && own.has(pathname)) {
    event.respondWith(answer(event.request));
  }
});
