// What the server can be asked, and how its answers are read: objects with boxes, hands, lines of text.

import { FINGERS, JOINTS } from "./hands.js";

/** From here on objects are asked for; the slider hides more of them without asking again. */
export const LOWEST_SCORE = 0.05;

const percent = (share) => `${Math.round(100 * share)} %`;
const numbered = (objects) => objects.map((object, index) => ({ label: object.description, ...object, index }));
const nothing = { objects: [], hands: [], lines: [] };

const fingerLines = (hand) => FINGERS.map((finger, i) => {
  const tip = 4 * i + 4, sure = hand.confidence && hand.confidence[`${finger}_tip`];
  const [x, y, z] = hand.joints_mm[tip].map((value) => Math.round(value));
  const place = `tip ${x}, ${y}, ${z} mm from the wrist`;
  return { said: finger, more: sure === undefined ? place : `${place}, confidence ${percent(sure)}`, finger: tip };
});

const readHands = ({ hands }) => ({
  ...nothing,
  hands,
  lines: hands.flatMap((hand) => [
    { said: `${hand.side} hand`, more: hand.score === null ? "in the box" : percent(hand.score), strong: true },
    ...fingerLines(hand),
    ...(hand.held ? [{ said: `holds ${hand.held.name}` }] : []),
    ...(hand.note ? [{ said: "Assumed", more: hand.note }] : []),
  ]),
});

const readClass = (answer) => ({
  ...nothing,
  lines: [
    { said: answer.label, more: "class", strong: true },
    ...(answer.nearest === answer.label ? [] : [{ said: answer.nearest, more: "nearest class" }]),
    { said: percent(answer.score), more: "probability that it is of a known class" },
    { said: answer.possible.join(", ") || "none", more: "classes that hold the true one nine times in ten" },
    ...(answer.example_of ? [{ said: answer.example_of, more: "this very file is one of its examples" }] : []),
  ],
});

/**
 * By the path that is asked. `query`: settings of a request about a picture. `read`: an answer's objects, hands, lines and text.
 * `all`: whether every picture is asked about at once, or each when it is looked at, because an answer takes long.
 */
export const TASKS = {
  "/v1/detect": {
    title: "Find objects", all: true,
    query: () => ({ threshold: LOWEST_SCORE }),
    read: (answer) => ({ ...nothing, objects: numbered(answer.objects) }),
  },
  "/v1/describe": {
    title: "In words", all: false,
    query: () => ({}),
    read: (answer) => ({ ...nothing, objects: numbered(answer.objects), text: answer.text, complete: answer.complete }),
  },
  "/v1/hands": {
    title: "Hands", all: true,
    query: (picture) => ({ ...(picture.side ? { side: picture.side } : {}), ...(picture.box ? { box: picture.box.join(",") } : {}) }),
    read: readHands,
  },
  "/v1/recognize": {
    title: "Recognise", all: true,
    query: () => ({}),
    read: readClass,
  },
};

/** The joints' names for a screen reader: how many there are, and of what. */
export const handInWords = (hand) => `${hand.side} hand, ${JOINTS.length} joints`;
