// A key of a legend: it lights up while the key is pressed, and can be held down with a finger or the mouse.

export interface Cap {
  code: string; // KeyboardEvent.code
  text: string;
  does: string;
}

interface Props {
  cap: Cap;
  lit: boolean;
  shown?: boolean; // what it does stands beside it; if not, it is for screen readers alone
  press: (code: string) => void;
  release: (code: string) => void;
}

export function KeyCap({ cap, lit, shown, press, release }: Props) {
  const up = (): void => release(cap.code);
  return (
    <button
      type="button"
      tabIndex={-1}
      class={`cap cap-${cap.code}`}
      data-lit={lit}
      onPointerDown={(e) => {
        e.preventDefault();
        e.currentTarget.setPointerCapture(e.pointerId);
        press(cap.code);
      }}
      onPointerUp={up}
      onPointerCancel={up}
      onLostPointerCapture={up}
      onContextMenu={(e) => e.preventDefault()}
    >
      <kbd>{cap.text}</kbd>
      <span class={shown ? "" : "unseen"}> {cap.does}</span>
    </button>
  );
}
