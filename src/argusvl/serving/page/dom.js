// Small helpers for making elements. The policy of the server forbids style attributes, so styles are set by properties.

const SVG = "http://www.w3.org/2000/svg";

const filled = (made, attributes, children) => {
  for (const [key, value] of Object.entries(attributes)) if (value !== null) made.setAttribute(key, value);
  made.append(...children);
  return made;
};

export const find = (selector, within = document) => within.querySelector(selector);
export const make = (name, attributes = {}, ...children) => filled(document.createElement(name), attributes, children);
export const shape = (name, attributes = {}, ...children) => filled(document.createElementNS(SVG, name), attributes, children);

/** "1 object", "2 objects". */
export const counted = (number, one, many = `${one}s`) => `${number} ${number === 1 ? one : many}`;
