// Signs of a user's activity on the page.

const SIGNS = ["pointerdown", "pointermove", "keydown", "wheel"];

// onActivity calls f for each sign of activity, very often, and returns a function
// that ends that. A tab that becomes visible is a sign too.
export function onActivity(f) {
  const shown = () => document.visibilityState === "visible" && f();
  for (const sign of SIGNS) addEventListener(sign, f, { passive: true, capture: true });
  document.addEventListener("visibilitychange", shown);
  return () => {
    for (const sign of SIGNS) removeEventListener(sign, f, { capture: true });
    document.removeEventListener("visibilitychange", shown);
  };
}
