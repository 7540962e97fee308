export {LutraError} from './errors.js';
export {Generation} from './generation.js';
export {Model} from './model.js';
export {Sequence, Session} from './session.js';
