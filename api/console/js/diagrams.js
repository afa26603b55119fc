// Every drawing of a page that has nothing else to do with it.
import { Diagram } from "./diagram.js";

for (const canvas of document.querySelectorAll(".canvas")) new Diagram(canvas);
