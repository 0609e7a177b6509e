import { start as forms } from "./pages.js";
import { start as live } from "./live.js";
import { start as keys } from "./keys.js";
import { start as talk } from "./talk.js";
import { start as uploads } from "./uploads.js";

forms();
keys();
talk();
uploads();
live();
document.documentElement.dataset.ready = "";
