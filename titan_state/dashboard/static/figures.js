// Figures: drawings that the server makes. They come as documents, are adopted, and never pass through markup text.

import { headers, late, obstacle, RequestError } from "./session.js";

const PATIENCE_S = 20;

/** Load a drawing. @returns {Promise<SVGElement>} */
export function load(path) {
  return new Promise((resolve, reject) => {
    if (obstacle()) {
      reject(obstacle());
      return;
    }
    const asked = new XMLHttpRequest();
    asked.open("GET", path);
    for (const [name, value] of Object.entries(headers())) asked.setRequestHeader(name, value);
    asked.responseType = "document";
    asked.timeout = PATIENCE_S * 1000;
    asked.ontimeout = () => reject(late(PATIENCE_S));
    asked.onload = () => {
      const drawing = asked.responseXML?.documentElement;
      if (asked.status !== 200) reject(new RequestError(`the dashboard answered ${asked.status}`, asked.status));
      else if (drawing?.localName !== "svg") reject(new RequestError("the drawing cannot be read", 502));
      else resolve(document.adoptNode(drawing));
    };
    asked.onerror = () => reject(new RequestError("the dashboard does not answer", 0));
    asked.send();
  });
}
