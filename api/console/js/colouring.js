// One line of YAML or JSON in pieces of [kind, text]; kinds are classes of editor.css, "" is plain.
const pieces = [
  ["comment", /#.*$/y],
  ["expression", /\$\{[^}]*\}?/y],
  ["text", /"(?:\\.|[^"\\])*"?|'(?:''|[^'])*'?/y],
  ["key", /[\w$./][^:#"'{}[\],]*?(?=:(?:\s|$))/y],
  ["value", /(?:true|false|null|~|-?\d+(?:\.\d+)?)(?=\s*(?:$|[,\]}#]))/y],
  ["mark", /[-{}[\],:|>?&*!]+/y],
  ["", /\s+/y],
  ["", /[^\s{}[\],:#]+/y],
  ["", /./y],
];

export function coloured(line) {
  const found = [];
  let at = 0;
  while (at < line.length) {
    for (const [kind, pattern] of pieces) {
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
