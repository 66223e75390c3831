// SPDX-License-Identifier: MIT
/**
 * What a reader of a page would stumble over: it is wider than the screen, a picture is missing, a
 * text is hard to read or lies over something else. On a screen and on a phone, light and dark.
 */

/** The widths are those of a small laptop and of a phone. */
export const LOOKS = [1280, 390].flatMap((width) =>
  ['light', 'dark'].map((scheme) => ({ width, scheme })),
);

/** The problems of a page in each look; `onLook` is called for each, with the page so. */
export async function problemsOf(page, onLook = async () => {}) {
  const problems = [];
  for (const look of LOOKS) {
    await page.resize(look.width, look.scheme);
    const found = [...(await page.run(findLayout)), ...(await page.run(findPale))];
    problems.push(...found.map((problem) => `${look.width} px, ${look.scheme}: ${problem}`));
    await onLook(look);
  }
  return [...problems, ...(await page.run(findOverlaps)), ...page.messages];
}

/** In the page: what is wider than its place, and pictures that are not there. */
function findLayout() {
  const problems = [];
  const root = document.documentElement;
  const isScrolled = (element) => {
    for (let each = element.parentElement; each !== null; each = each.parentElement) {
      if (each !== document.body && /auto|scroll/.test(getComputedStyle(each).overflowX)) {
        return true;
      }
    }
    return false;
  };
  if (root.scrollWidth > root.clientWidth) {
    const wide = [...document.querySelectorAll('body *')].find((element) => {
      return element.getBoundingClientRect().right > root.clientWidth + 1 && !isScrolled(element);
    });
    problems.push(`the page is ${root.scrollWidth} px wide, by ${wide?.outerHTML.slice(0, 80)}`);
  }
  for (const { complete, naturalWidth, src } of document.images ?? []) {
    if (!complete || naturalWidth === 0) problems.push(`there is no picture ${src}`);
  }
  for (const element of document.querySelectorAll('pre, table, p, li, h1, h2, h3')) {
    const { overflowX, textOverflow } = getComputedStyle(element);
    if (!/hidden|clip/.test(overflowX) || textOverflow === 'ellipsis') continue;
    if (element.scrollWidth > element.clientWidth + 1) {
      problems.push(`cut off: ${element.textContent.trim().slice(0, 60)}`);
    }
  }
  return problems;
}

/**
 * In the page: texts whose contrast with what is behind them is below what WCAG 2 asks for (AA):
 * 4.5, and 3 for large ones. Pictures behind texts are not looked at.
 */
function findPale() {
  const XHTML = 'http://www.w3.org/1999/xhtml';
  const canvas = document.createElementNS(XHTML, 'canvas');
  canvas.width = 1;
  canvas.height = 1;
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const known = new Map();
  /** Red, green, blue from 0 to 255, and alpha from 0 to 1. */
  const channelsOf = (color) => {
    if (!known.has(color)) {
      context.clearRect(0, 0, 1, 1);
      context.fillStyle = color;
      context.fillRect(0, 0, 1, 1);
      const [red, green, blue, alpha] = context.getImageData(0, 0, 1, 1).data;
      known.set(color, [red, green, blue, alpha / 255]);
    }
    return known.get(color);
  };
  const over = ([red, green, blue, alpha], below) =>
    [red, green, blue].map((each, i) => each * alpha + below[i] * (1 - alpha));
  const luminance = (color) => {
    const [red, green, blue] = color.map((each) => {
      const part = each / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const contrast = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const root = document.documentElement;
  const probe = root.appendChild(document.createElementNS(XHTML, 'i'));
  probe.style.color = 'Canvas';
  const blank = channelsOf(getComputedStyle(probe).color).slice(0, 3);
  probe.remove();
  /** By element: what is behind its text, and how opaque it is. */
  const backgrounds = new Map([[null, blank]]);
  const backgroundOf = (element) => {
    if (!backgrounds.has(element)) {
      const layer = channelsOf(getComputedStyle(element).backgroundColor);
      const below = layer[3] === 1 ? blank : backgroundOf(element.parentElement);
      backgrounds.set(element, over(layer, below));
    }
    return backgrounds.get(element);
  };
  const opacities = new Map([[null, 1]]);
  const opacityOf = (element) => {
    if (!opacities.has(element)) {
      const own = Number(getComputedStyle(element).opacity);
      opacities.set(element, own * opacityOf(element.parentElement));
    }
    return opacities.get(element);
  };
  const problems = new Set();
  const walker = document.createTreeWalker(document.body ?? root, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    const element = node.parentElement;
    if (node.data.trim() === '' || !element.checkVisibility({ visibilityProperty: true })) continue;
    if (/^(title|style|script|noscript|option)$/.test(element.localName)) continue;
    const { color, fill, fontSize, fontWeight } = getComputedStyle(element);
    const isDrawn = element.namespaceURI !== XHTML;
    const [red, green, blue, alpha] = channelsOf(isDrawn ? fill : color);
    const background = backgroundOf(element);
    const opacity = alpha * opacityOf(element);
    // Shown only once the pointer is there.
    if (opacity === 0) continue;
    const size = Number.parseFloat(fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(fontWeight) >= 700);
    const found = contrast(over([red, green, blue, opacity], background), background);
    if (found >= (isLarge ? 3 : 4.5)) continue;
    const where = `${element.localName}.${element.getAttribute('class') ?? ''}`;
    problems.add(`contrast ${found.toFixed(1)} of ${where}, such as "${node.data.trim()}"`);
  }
  return [...problems];
}

/** In the page, if it is a picture: texts that lie over each other, over a line, or outside. */
function findOverlaps() {
  const root = document.documentElement;
  if (root.localName !== 'svg') return [];
  const problems = [];
  const { width, height } = root.viewBox.baseVal;
  const texts = [...document.querySelectorAll('text')].map((element) => {
    const box = element.getBBox();
    const [left, right] = [box.x + 1, box.x + box.width - 1];
    // Of a line of text the middle counts: its box has room for letters that reach up or down.
    const [top, bottom] = [box.y + 4, box.y + box.height - 4];
    return { name: element.textContent, left, right, top, bottom };
  });
  const lines = [...document.querySelectorAll('path[stroke]')].flatMap((path) =>
    [...path.getAttribute('d').matchAll(/M([\d.]+) ([\d.]+)([hv])(-?[\d.]+)/g)].map(
      ([, x, y, way, length]) => {
        const ends = [Number(x), Number(y)];
        const other = [...ends];
        other[way === 'h' ? 0 : 1] += Number(length);
        const [left, right] = [ends[0], other[0]].sort((a, b) => a - b);
        const [top, bottom] = [ends[1], other[1]].sort((a, b) => a - b);
        return { name: 'a line', left, right, top, bottom };
      },
    ),
  );
  for (const [i, text] of texts.entries()) {
    if (text.left < 0 || text.top < 0 || text.right > width || text.bottom > height) {
      problems.push(`"${text.name}" reaches out of the picture`);
    }
    for (const other of [...texts.slice(i + 1), ...lines]) {
      const isApart = text.right < other.left || other.right < text.left;
      if (isApart || text.bottom < other.top || other.bottom < text.top) continue;
      problems.push(`"${text.name}" lies over ${other.name}`);
    }
  }
  return [...new Set(problems)];
}
