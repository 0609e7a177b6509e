/* Files may be dropped; the list of what was chosen is shown before it is sent. What is under way is
   looked at again until it is done. */
import { refresh } from "./pages.js";

const AGAIN_MS = 800;

async function again() {
  if (document.querySelector("[data-again]")) await refresh().catch(() => {});
  setTimeout(again, AGAIN_MS);
}

export function start() {
  setTimeout(again, AGAIN_MS);
  for (const drop of document.querySelectorAll("[data-drop]")) {
    const input = drop.querySelector("input[type=file]"), list = drop.querySelector("[data-chosen]");
    const chosen = () => { list.textContent = [...input.files].map((one) => one.name).join("、"); };
    input.addEventListener("change", chosen);
    for (const name of ["dragenter", "dragover"]) drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
    for (const name of ["dragleave", "drop"]) drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.remove("over"); });
    drop.addEventListener("drop", (event) => {
      if (!event.dataTransfer.files.length) return;
      input.files = event.dataTransfer.files;
      chosen();
    });
  }
}
