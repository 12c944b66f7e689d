// Before anything is drawn: the theme and the language that were chosen last.
(() => {
  const kept = (key) => {
    try {
      return localStorage.getItem(`keepbusy ${key}`);
    } catch {
      return null;
    }
  };
  const theme = kept("theme");
  if (theme) document.documentElement.dataset.theme = theme;
  const language = kept("language") ?? (navigator.language.startsWith("zh") ? "zh" : "en");
  document.documentElement.lang = language;
})();
