// What the page says, in English and Chinese. States and causes that are not here are shown as the server calls them.
const EN = {
  skip: "Skip to the pictures", engine: "Engine", theme: "Light or dark", language: "中文",
  lost: "The connection is lost. What you see is old; trying to connect again.",
  stages: "Stages, last 5 seconds", busy: "working", wait_input: "nothing to do", wait_output: "waiting for the next stage",
  history: "Last two minutes", timeline: "The newest frames, last 2 seconds",
  empty: "No streams yet. Add some to the configuration, or by the API.",
  previous: "Previous stream", next: "Next stream", close: "Close", conf: "Lowest confidence", iou: "Overlap above which boxes are one",
  login: "This server has a token", token: "Token", enter: "Enter", wrong: "This is not the token.",
  looking: "You are a viewer: nothing can be changed.", changing: "Changes at once, and nothing is compiled for it.",
  note: "* waiting for the camera included", rate: "frames/s", age: "age p50 / p99", shown: "picture", drops: "dropped, 10 s", none: "none", objects: "objects",
  old: "{0} old", no_picture: "no picture yet", seconds: "{0} s", ms: "{0} ms", fps: "results/s", dropped: "dropped/s", busy_share: "device busy",
  sums: "{0} of {1} streams live · {2} frames/s", fallback: "{0} instead of {1}",
  source: "Source", state: "State", error: "Error", size: "Size", decoder: "Decoder", arrived: "Frames", results: "Results", failed: "Failed",
  in_flight: "In flight", weight: "Weight", max_age: "Oldest allowed", reopened: "Opened again", sink: "Sink", drop_causes: "Dropped",
  "stage read": "read*", "stage preprocess": "preprocess", "stage infer": "device", "stage postprocess": "postprocess", "stage sink": "sinks",
  "state live": "live", "state running": "being read", "state late": "no new picture", "state opening": "opening", "state waiting": "waiting to try again",
  "state stalled": "stalled: no frames come", "state ended": "ended", "state failed": "failed", "state removed": "removed",
  "engine compiling": "compiling the model", "engine recovering": "recovering", "engine failed": "no device works", "engine stopped": "stopped",
  "hint latency": "for fresh results", "hint throughput": "for throughput",
  "cause overload": "newer came first", "cause stale": "too old", "cause nonref": "no time to decode", "cause nonkey": "no time to decode (up to a key frame)",
  "cause rate": "rate lowered",
  "cause decode_error": "damaged", "cause reconnect": "connection lost", "cause stopping": "stopping",
  "verdict nothing": "No model is running.",
};

const ZH = {
  skip: "跳到画面", engine: "引擎", theme: "浅色或深色", language: "English",
  lost: "连接已断开，画面已过时；正在重新连接。",
  stages: "各阶段（最近 5 秒）", busy: "工作", wait_input: "无事可做", wait_output: "等待下一阶段",
  history: "最近两分钟", timeline: "最新的帧（最近 2 秒）",
  empty: "还没有视频流。请在配置文件中添加，或通过 API 添加。",
  previous: "上一路", next: "下一路", close: "关闭", conf: "最低置信度", iou: "框的合并重叠率",
  login: "此服务器需要令牌", token: "令牌", enter: "进入", wrong: "令牌不正确。",
  looking: "只读身份：不能更改设置。", changing: "立即生效，无需重新编译模型。",
  note: "* 包括等待摄像头的时间", rate: "帧/秒", age: "延迟 p50 / p99", shown: "画面", drops: "10 秒内丢帧", none: "无", objects: "目标",
  old: "{0}前的画面", no_picture: "还没有画面", seconds: "{0} 秒", ms: "{0} 毫秒", fps: "结果/秒", dropped: "丢帧/秒", busy_share: "设备占用",
  sums: "{1} 路中 {0} 路实时 · {2} 帧/秒", fallback: "{0}（代替 {1}）",
  source: "来源", state: "状态", error: "错误", size: "尺寸", decoder: "解码器", arrived: "到达帧数", results: "结果", failed: "失败",
  in_flight: "处理中", weight: "权重", max_age: "最大延迟", reopened: "重新打开", sink: "输出", drop_causes: "丢帧",
  "stage read": "读取*", "stage preprocess": "预处理", "stage infer": "设备推理", "stage postprocess": "后处理", "stage sink": "输出",
  "state live": "实时", "state running": "读取中", "state late": "没有新画面", "state opening": "正在打开", "state waiting": "等待重试",
  "state stalled": "停滞：没有新帧", "state ended": "已结束", "state failed": "失败", "state removed": "已移除",
  "engine compiling": "正在编译模型", "engine recovering": "正在恢复", "engine failed": "没有可用设备", "engine stopped": "已停止",
  "hint latency": "低延迟", "hint throughput": "高吞吐",
  "cause overload": "被新帧取代", "cause stale": "过时", "cause nonref": "来不及解码", "cause nonkey": "来不及解码（直到关键帧）",
  "cause rate": "帧率被降低",
  "cause decode_error": "数据损坏", "cause reconnect": "连接中断", "cause stopping": "停止",
  "overload throughput": "画面超出本机的处理能力（第 {step}/{steps} 级）：模型改为按高吞吐编译，不再追求最低延迟。",
  "overload shed": "画面超出本机的处理能力（第 {step}/{steps} 级）：不再解码没有其他帧参考的帧。",
  "overload rate": "画面超出本机的处理能力（第 {step}/{steps} 级）：所有视频流合计每秒处理 {limit} 帧，按权重分配。",
  "overload imgsz": "画面超出本机的处理能力（第 {step}/{steps} 级）：输入尺寸减小为 {imgsz}，可能漏检小目标。",
  "overload model": "画面超出本机的处理能力（第 {step}/{steps} 级）：正在使用配置中指定的更小的模型。",
  "verdict nothing": "没有模型在运行。",
  "verdict no-streams": "还没有视频流。请添加视频流，或发送图片。",
  "verdict silent": "没有任何视频流送来画面。",
  "verdict keeps-up": "跟得上：每秒到达的 {arriving} 帧全部处理。设备有 {busy}% 的时间在工作，还有余量。",
  "verdict just-keeps-up": "刚好跟得上：每秒 {arriving} 帧全部处理，设备有 {busy}% 的时间在工作。再加一路就会丢帧。",
  "verdict stage-bound": "受阶段「{stage}」限制：其线程有 {stage_busy}% 的时间在工作，{lost}% 的帧被丢弃。",
  "verdict device-bound": "受设备限制：设备有 {busy}% 的时间在工作，每秒处理 {arriving} 帧中的 {fps} 帧，{lost}% 被丢弃。可限制帧率（max_fps）、换更小的模型或输入、或换设备；权重决定哪一路让步。",
  "verdict losing": "{lost}% 的帧被丢弃，主要原因是「{cause}」，而设备只有 {busy}% 的时间在工作：其他任务占用了处理器，或帧等待过久。",
};

export const language = () => (document.documentElement.lang === "zh" ? "zh" : "en");

/** A text; `{0}` is the first value, `{name}` the one of that name. */
export function say(key, ...values) {
  const text = (language() === "zh" ? ZH[key] : undefined) ?? EN[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? values[0]?.[name] ?? "");
}

/** A state, cause or stage as people call it; the server's own word where the page knows none. */
export function word(kind, name) {
  const key = `${kind} ${name}`;
  const found = say(key);
  return found === key ? String(name).replaceAll("_", " ") : found;
}

/** What holds the server back. */
export function verdict(one) {
  const key = `verdict ${one.code}`;
  const figures = { ...one.figures };
  if (figures.stage) figures.stage = word("stage", figures.stage);
  if (figures.cause) figures.cause = word("cause", figures.cause);
  return language() === "zh" && ZH[key] ? say(key, figures) : one.sentence;
}

/** What the ladder under overload has done; empty where it has not. */
export function overload(one) {
  const key = `overload ${one?.kind}`;
  return language() === "zh" && ZH[key] ? say(key, one.figures) : one?.sentence ?? "";
}

/** Milliseconds, as short as they can be told. */
export function duration(ms) {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return "–";
  return ms < 1000 ? say("ms", Math.round(ms)) : say("seconds", (ms / 1000).toFixed(ms < 10_000 ? 1 : 0));
}

/** Write all texts of the page in its language. */
export function writeWords(root = document) {
  for (const one of root.querySelectorAll("[data-words]")) one.textContent = say(one.dataset.words);
  for (const one of root.querySelectorAll("[data-label]")) {
    one.setAttribute("aria-label", say(one.dataset.label));
    one.title = say(one.dataset.label);
  }
}
