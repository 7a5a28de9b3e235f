// Theme: the reader's choice of light or dark. A classic script in the head: nothing is painted in the wrong one.
// It sets data-theme on the root element; without a choice the system's preference holds (figures.css).

(function theme() {
  const key = "titan-state.theme";
  const themes = ["auto", "light", "dark"];

  function read() {
    try {
      const kept = localStorage.getItem(key);
      return themes.includes(kept) ? kept : "auto";
    } catch {
      return "auto"; // storage may be forbidden
    }
  }

  function apply(name) {
    if (name === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
  }

  let chosen = read();
  apply(chosen);

  addEventListener("DOMContentLoaded", () => {
    const inputs = document.querySelectorAll("input[name=theme]");
    for (const input of inputs) {
      input.checked = input.value === chosen;
      input.addEventListener("change", () => {
        chosen = input.value;
        apply(chosen);
        try {
          localStorage.setItem(key, chosen);
        } catch {
          // it holds for this page only
        }
      });
    }
  });
})();
