// Every visible text of a page with its computed size, and its contrast with what lies behind it (WCAG 2.2): that is found by
// going up to the first background that is not transparent.
() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => [r, g, b].map((value) => value / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, place) => sum + value * [0.2126, 0.7152, 0.0722][place], 0);
  const over = (front, back) => [0, 1, 2].map((place) => front[place] * front[3] / 255 + back[place] * (1 - front[3] / 255));
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour[3]) layers.push(colour);
      if (colour[3] === 255) break;
    }
    return layers.reverse().reduce((back, front) => over(front, back), [255, 255, 255]);
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement, text = walker.currentNode.textContent.trim();
    if (!text || ["SCRIPT", "STYLE", "NOSCRIPT", "TITLE"].includes(element.tagName.toUpperCase())) continue;
    if (!element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const box = element.getBoundingClientRect();
    if (box.width <= 1 || box.right <= 0) continue;  // for screen readers, or off the screen until it has the focus
    const style = getComputedStyle(element), back = behind(element), colour = rgba(element.closest("svg") ? style.fill : style.color);
    for (let at = element; at; at = at.parentElement) colour[3] *= Number(getComputedStyle(at).opacity);
    const front = over(colour, back);
    let cut = false;
    for (let at = element; at && at !== document.body; at = at.parentElement) {
      if (["auto", "scroll"].includes(getComputedStyle(at).overflowX)) break; // what goes beyond can be scrolled to
      cut ||= ["hidden", "clip"].includes(getComputedStyle(at).overflowX) && at.scrollWidth > at.clientWidth + 1 && at.clientWidth > 1;
    }
    const [dark, light] = [luminance(front), luminance(back)].sort((a, b) => a - b);
    found.push({ text: text.slice(0, 40), size: parseFloat(style.fontSize), contrast: (light + 0.05) / (dark + 0.05),
      cut, disabled: Boolean(element.closest(":disabled")) });
  }
  return found;
}
