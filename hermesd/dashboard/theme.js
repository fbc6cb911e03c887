// Light, dark or as the system says; a classic script, so that the first paint is in the right one.
(() => {
  const KEY = "hermesd.theme";
  const NEXT = { auto: "light", light: "dark", dark: "auto" };

  function read() {
    try {
      const kept = localStorage.getItem(KEY);
      return kept in NEXT ? kept : "auto";
    } catch {
      return "auto"; // storage may be switched off
    }
  }

  function wear(theme) {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  }

  function label(button, theme) {
    button.querySelector("b").textContent = theme;
  }

  wear(read());
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    label(button, read());
    button.addEventListener("click", () => {
      const next = NEXT[read()];
      try {
        localStorage.setItem(KEY, next);
      } catch {
        // worn until the page is left
      }
      wear(next);
      label(button, next);
    });
  });
})();
