// What the page knows: models, pictures with their answers, what is looked at and what is hidden.

import { Queue } from "./queue.js";

export const state = { models: [], limits: null, path: null, model: null, pictures: [], current: null, selected: -1, threshold: 0.3, hidden: new Set() };

/** Whoever starts the page sets `changed`, `waiting` and `refused`. */
export const queue = new Queue({
  now: () => ({ path: state.path, model: state.model, pictures: state.pictures, current: state.current }),
});

export const entry = () => (state.current ? queue.entry(state.current) : { status: "waiting" });
export const found = () => entry().found || { objects: [], hands: [], lines: [] };
export const passes = (object) => (object.score === undefined || object.score >= state.threshold) && !state.hidden.has(object.label);
export const shown = () => found().objects.filter(passes);
export const sizeOf = (picture) => (queue.entry(picture).answer || {}).image || picture.size;
