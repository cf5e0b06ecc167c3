"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const stage = $("stage"), sheet = $("sheet"), slider = $("slider"), handle = $("handle");
  const before = $("before"), after = $("after");
  const size = { width: Number(sheet.dataset.width), height: Number(sheet.dataset.height) };
  let scale = 0; // 0: fit the window

  const cut = (percent) => {
    const value = Math.min(100, Math.max(0, percent));
    slider.value = value;
    sheet.style.setProperty("--cut", value + "%");
    slider.setAttribute("aria-valuetext", Math.round(value) + " % " + before.alt);
  };
  const fitted = () => Math.min(stage.clientWidth / size.width, (innerHeight * 0.78) / size.height, 1);
  const draw = () => {
    const now = scale || fitted();
    sheet.style.width = size.width * now + "px";
    sheet.style.height = size.height * now + "px";
    $("fit").setAttribute("aria-pressed", String(scale === 0));
    $("full").setAttribute("aria-pressed", String(scale === 1));
    $("percent").textContent = Math.round(now * 100) + " %";
  };
  // The middle of what is seen stays in the middle.
  const zoom = (next) => {
    const x = (stage.scrollLeft + stage.clientWidth / 2) / Math.max(1, sheet.offsetWidth);
    const y = (stage.scrollTop + stage.clientHeight / 2) / Math.max(1, sheet.offsetHeight);
    scale = next === 0 ? 0 : Math.min(4, Math.max(0.05, next));
    draw();
    stage.scrollLeft = x * sheet.offsetWidth - stage.clientWidth / 2;
    stage.scrollTop = y * sheet.offsetHeight - stage.clientHeight / 2;
  };
  const step = (factor) => zoom((scale || fitted()) * factor);
  const show = (image, select) => {
    const choice = $("picture-" + select.value);
    image.src = choice.src;
    image.alt = choice.alt;
    image.classList.toggle("bright", "bright" in choice.dataset);
    cut(Number(slider.value));
  };
  const follow = (event) => {
    const box = sheet.getBoundingClientRect();
    cut(((event.clientX - box.left) / box.width) * 100);
  };

  slider.addEventListener("input", () => cut(Number(slider.value)));
  handle.addEventListener("pointerdown", (event) => { handle.setPointerCapture(event.pointerId); follow(event); event.preventDefault(); });
  handle.addEventListener("pointermove", (event) => { if (handle.hasPointerCapture(event.pointerId)) follow(event); });
  $("left").addEventListener("change", () => show(before, $("left")));
  $("right").addEventListener("change", () => show(after, $("right")));
  $("fit").addEventListener("click", () => zoom(0));
  $("full").addEventListener("click", () => zoom(1));
  $("closer").addEventListener("click", () => step(1.5));
  $("farther").addEventListener("click", () => step(1 / 1.5));
  stage.addEventListener("dblclick", () => zoom(scale === 1 ? 0 : 1));
  addEventListener("keydown", (event) => {
    if (event.target.tagName === "SELECT" || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = { "+": () => step(1.5), "=": () => step(1.5), "-": () => step(1 / 1.5), "0": () => zoom(0), "1": () => zoom(1) }[event.key];
    if (act) { act(); event.preventDefault(); }
  });
  addEventListener("resize", draw);
  const bright = document.querySelector("[data-bright]");
  if (bright && matchMedia("(dynamic-range: high)").matches) {
    $("left").value = $("right").value;
    $("right").value = bright.id.replace("picture-", "");
  }
  show(before, $("left"));
  show(after, $("right"));
  draw();
  cut(50);
})();
