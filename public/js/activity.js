// What shows that somebody is at the page.

const SIGNS = ["pointerdown", "pointermove", "keydown", "wheel"];

// onActivity calls f at each sign, very often, until the function that it
// returns is called. A tab that comes to the front is a sign too.
export function onActivity(f) {
  const shown = () => document.visibilityState === "visible" && f();
  for (const sign of SIGNS) addEventListener(sign, f, { passive: true, capture: true });
  document.addEventListener("visibilitychange", shown);
  return () => {
    for (const sign of SIGNS) removeEventListener(sign, f, { capture: true });
    document.removeEventListener("visibilitychange", shown);
  };
}
