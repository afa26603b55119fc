// Lines of YAML or JSON in pieces of [kind, text]; kinds are classes of editor.css, "" is plain.
const pieces = [
  ["comment", /#.*$/y],
  ["expression", /\$\{[^}]*\}?/y],
  ["text", /"(?:\\.|[^"\\])*"?|'(?:''|[^'])*'?/y],
  ["key", /[\w$./][^:#"{}[\],]*?(?=:(?:\s|$))/y],
  ["value", /(?:true|false|null|~|-?\d+(?:\.\d+)?)(?=\s*(?:$|[,\]}#]))/y],
  ["mark", /[-{}[\],:|>?&*!]+/y],
  ["", /\s+/y],
  ["", /[^\s{}[\],:#]+/y],
  ["", /./y],
];
const within = [["expression", /\$\{[^}]*\}?/y], ["", /(?:[^$]|\$(?!\{))+/y]];
// As "key: >-", "- |" or "- key: !!str |2": the lines below that are set in deeper than the key, or the dash, are text.
const plainKey = String.raw`[^\s"'#{}[\],|>-][^#]*?`;
const quotedKey = String.raw`"(?:\\.|[^"\\])*"|'(?:''|[^'])*'`;
const opening = new RegExp(String.raw`^(\s*(?:-\s+)*)(?:(${quotedKey}|${plainKey})\s*:\s+)?(?:[!&]\S*\s+)*[|>][1-9+-]{0,2}(?:\s+#.*)?\s*$`);

/** Whether each line is text of a block scalar. */
export function inBlocks(lines) {
  let depth = null;
  return lines.map((line) => {
    if (depth !== null && (!line.trim() || line.search(/\S/) > depth)) return true;
    const opened = opening.exec(line);
    depth = !opened ? null : opened[2] === undefined ? opened[1].lastIndexOf("-") : opened[1].length;
    return false;
  });
}

/** One line; `block` says that it is text of a block scalar, in which only expressions have a colour. */
export function coloured(line, block = false) {
  const found = [];
  let at = 0;
  while (at < line.length) {
    for (const [kind, pattern] of block ? within : pieces) {
      // A # opens a comment only at the beginning or behind a space.
      if (kind === "comment" && at > 0 && !/\s/.test(line[at - 1])) continue;
      pattern.lastIndex = at;
      const match = pattern.exec(line);
      if (!match || !match[0]) continue;
      // A quoted key is a key.
      const isKey = kind === "text" && /^\s*:(\s|$)/.test(line.slice(at + match[0].length));
      found.push([isKey ? "key" : kind, match[0]]);
      at += match[0].length;
      break;
    }
  }
  return found;
}
