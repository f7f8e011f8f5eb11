// The state of the system, in facts and one chart.

import { $, element, setText } from "./dom.js";
import { NONE, bytes, count, horizon, minute, ms, words } from "./format.js";

const nodes = new Map();

export function draw(state) {
  const pipeline = state.pipeline;
  if (pipeline) for (const [name, text] of Object.entries(facts(pipeline))) fact(name, text);
  $("flower").hidden = !state.flower_url;
  if (state.flower_url) $("flower").href = state.flower_url;
}

function fact(name, text) {
  if (!nodes.has(name)) {
    const value = element("dd");
    nodes.set(name, value);
    $("pipeline-facts").append(element("dt", { text: name }), value);
  }
  setText(nodes.get(name), text);
}

function facts(p) {
  const workers = p.workers.map((w) => `${w.processes} of ${w.most_processes} processes, ${count(w.held)} tasks held`);
  const frames = Object.entries(p.frames).map(([kind, n]) => `${words(kind)} ${count(n)}`);
  const late = Object.entries(p.lateness_ms_by_offset_ms).map(([offset, l]) => `${horizon(offset)} ${count(l.p50)} / ${count(l.p99)}`);
  const missed = Object.entries(p.missed_by_reason).map(([reason, n]) => `${words(reason)} ${count(n)}`);
  return {
    Watermark: `${ms(p.watermark_age_ms)} old`,
    Markets: `${count(p.markets_live)} of ${count(p.markets_followed)} live`,
    Feed: `${count(p.sockets)} connected, ${count(p.reconnects)} reconnects${p.detecting === false ? ", draining" : ""}`,
    "Lag p50 / p99": p.lag_p50_ms == null ? NONE : `${count(p.lag_p50_ms)} / ${count(p.lag_p99_ms)} ms`,
    Frames: `${p.frames_per_s ?? NONE} a second`,
    Pending: `${count(p.pending)}, ${count(p.overdue)} overdue${p.revoked ? `, ${count(p.revoked)} revoked` : ""}`,
    Queue: `${count(p.queued)} waiting, ${count(p.quarantined)} in quarantine`,
    Signals: `${count(p.signals)} in 15 min`,
    "Follow-ups": count(p.followups),
    Missed: count(p.missed) + (missed.length ? ` (${missed.join(", ")})` : ""),
    "Late p50 / p99": late.length ? `${late.join(", ")} ms` : NONE,
    Workers: workers.length ? workers.join("; ") : "none reported",
    Redis: bytes(p.server_bytes),
    Tape: p.tape_since_ms == null ? NONE : `since ${minute(p.tape_since_ms)}, ${bytes(p.tape_bytes)}, ${ms(p.tape_behind_ms)} behind`,
    "Files today": p.files_today.map((f) => `${f.name.split("_")[0]} ${bytes(f.bytes)}`).join(", ") || NONE,
    "Frames by kind": frames.join(", ") || NONE,
  };
}

