"""What people type who come from other programs, or by mistake, and what becomes of it.

`docs/reference/habits.md` is made of this table: `python -m tests.habits_table` writes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "habits.md"


@dataclass(frozen=True, slots=True)
class Same:
    """A command line that means the same as one of keepbusy's own.

    Attributes:
        typed: What is typed.
        ours: The same in keepbusy's words.
        is_run: It is run, too, and must write what the other one writes.
    """

    typed: str
    ours: str
    is_run: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """A command line that is answered by one error and one hint.

    Attributes:
        typed: What is typed.
        error: What the error says, in part.
        hint: What the hint says, in part.
        code: The exit code.
    """

    typed: str
    error: str
    hint: str
    code: int = 2


@dataclass(frozen=True, slots=True)
class InPython:
    """An expression of Python that is answered by one error with one hint, or names our word.

    Attributes:
        typed: What is written.
        error: What the error says, in part.
        hint: What the hint, or the error itself, says of ours, in part.
    """

    typed: str
    error: str
    hint: str


Row = Same | Told

PYTHON = (
    InPython("detector(image, conf=0.3)", "`conf` is an option of the Detector", "Detector(model, conf=0.3)"),
    InPython("detector(image, classes=[0])", "`classes` is an option of the Detector", "found.where(classes=[0])"),
    InPython("detector(image, 0.3)", "thresholds are options of the Detector", "Detector(model, conf=0.3)"),
    InPython("detector(image, imgsz=640)", "`imgsz` is an option of the Detector", "Detector(model, imgsz=640)"),
    InPython("detector(image, conf_thres=0.3)", "no option `conf_thres`", "`conf`"),
    InPython("detector(image, half=True)", "no option `half`", '`precision="f16"`'),
    InPython("detector(image, stream=True)", "no option `stream`", "`detector.stream(pictures)`"),
    InPython("detector(image, save=True)", "no option `save`", "`found.save(path, image)`"),
    InPython("detector(image, verbose=False)", "no option `verbose`", "logging.getLogger('keepbusy')"),
    InPython("detector(source=image)", "no option `source`", "`detector(picture)`"),
    InPython("detector(image, image)", "it takes one argument", "detector([a, b])"),
    InPython("detector.stream([image], conf=0.3)", "`conf` is an option", "Detector(model, conf=0.3)"),
    InPython("detector.predict(image)", "no attribute 'predict'", "`detector(picture)`"),
    InPython("detector.track(image)", "no attribute 'track'", "`to_supervision()`"),
    InPython("detector.val(data='coco.yaml')", "no attribute 'val'", "`keepbusy eval`"),
    InPython("detector.to('cuda')", "no attribute 'to'", "`device`"),
    InPython("detector.run('clip.mp4')", "no attribute 'run'", "`Pipeline.run(source)`"),
    InPython("detector('clip.mp4')", "is not a picture", "Pipeline.run takes videos"),
    InPython("detector('shots/*.jpg')", "is a pattern", "`keepbusy detect`"),
    InPython("pipeline.predict('clip.mp4')", "no attribute 'predict'", "`run(source)`"),
    InPython("pipeline.run('clip.mp4', conf=0.3)", "`conf` is an option of the Pipeline", "Pipeline(model, conf=0.3)"),
    InPython("pipeline.run('clip.mp4', stream=True)", "no option `stream`", "one by one"),
    InPython("pipeline.run('clip.mp4', vid_stride=2)", "no option `vid_stride`", "`stride` of `pipeline.run`"),
    InPython("kb.Detector('m.xml', confidence=0.3)", "unknown option: confidence", "`conf`"),
    InPython("kb.Pipeline('m.xml', batch=8)", "unknown option: batch", "`nireq`"),
    InPython("kb.Detector('m.xml', classes='red,blue')", "no class 'red,blue'", "classes=['red', 'blue']"),
    InPython("found.where(classes='red,blue')", "no class 'red,blue'", "classes=['red', 'blue']"),
    InPython("found.boxes", "no attribute 'boxes'", "`boxes_xyxy`"),
    InPython("found.plot()", "needs the picture", "found.plot(image)"),
    InPython("found.save(filename='a.jpg')", "no argument `filename`", "`path`"),
    InPython("found.to_csv('a.csv')", "writes no file", "write_text(found.to_csv())"),
)

ULTRALYTICS = (
    Same("predict model=m.xml source=clip.mp4 conf=0.4", "detect clip.mp4 --model m.xml --conf 0.4", is_run=True),
    Same("yolo detect predict model=m.xml source=clip.mp4", "detect clip.mp4 --model m.xml", is_run=True),
    Same("task=detect mode=predict model=m.xml source=clip.mp4", "detect clip.mp4 --model m.xml --task detect"),
    Same("mode=val model=m.xml data=coco.yaml", "eval --model m.xml --data coco.yaml"),
    Same("segment predict model=m.xml source=photo.png", "detect photo.png --model m.xml --task segment"),
    Same("pose model=m.xml source=photo.png", "detect photo.png --model m.xml --task pose"),
    Same("val model=m.xml data=coco.yaml split=test", "eval --model m.xml --data coco.yaml --split test"),
    Same("benchmark model=m.xml source=clip.mp4 imgsz=640", "bench clip.mp4 --model m.xml --imgsz 640"),
    Told("track model=m.xml source=clip.mp4", "no tracker in the program", "to_supervision()"),
    Told("predict model=m.xml source=clip.mp4 tracker=bytetrack.yaml", "no tracker", "to_supervision()"),
    Told("predict model=m.xml source=clip.mp4 persist=True", "no tracker", "to_supervision()"),
    Told("export model=best.pt format=openvino", "models are not converted here", "yolo export model=best.pt"),
    Told("yolo detect train data=coco.yaml", "models are not trained here", "yolo export"),
    Told("detect epochs=10", "models are not trained here", "yolo export"),
    Told("predict model=best.pt source=clip.mp4", "is a model of PyTorch", "yolo export model=best.pt", code=1),
    Told("predict model=best.engine source=clip.mp4", "is a model of TensorRT", "export", code=1),
    Told("detect clip.mp4 -m m.xml mode=batch", "mode: 'batch'", "async, sync"),
    Told("mode=explode model=m.xml", "there is no such mode", "keepbusy eval"),
    Told("checks", "told by other commands", "keepbusy devices"),
    Told("settings", "no settings but options", "--profile FILE"),
    Told("solutions count", "no ready applications", "--json -"),
    Told("version", "it is an option", "keepbusy --version"),
    Told("help", "it is an option", "keepbusy --help"),
    Same("predict source=clip.mp4 model=m.xml stream=True", "detect clip.mp4 --model m.xml", is_run=True),
    Same("predict source=clip.mp4 model=m.xml show=False save=False", "detect clip.mp4 --model m.xml"),
    Same("detect clip.mp4 -m m.xml half=True", "detect clip.mp4 -m m.xml --precision f16", is_run=True),
    Same("detect clip.mp4 -m m.xml int8=False augment=False", "detect clip.mp4 -m m.xml"),
    Same("detect clip.mp4 -m m.xml batch=1", "detect clip.mp4 -m m.xml"),
    Told("detect clip.mp4 -m m.xml batch=16", "batch=16: frames are not put together", "--nireq"),
    Told("detect clip.mp4 -m m.xml augment=True", "no test-time augmentation", "--imgsz"),
    Told("detect clip.mp4 -m m.xml visualize=True", "feature maps are not written", "leave it out"),
    Told("detect clip.mp4 -m m.xml optimize=True", "rewritten when it is loaded", "--head and --shape"),
    Told("detect clip.mp4 -m m.xml nms=False", "boxes are always suppressed", "--iou 1"),
    Told("detect clip.mp4 -m m.xml embed=[0]", "no embeddings", "leave it out"),
    Told("detect clip.mp4 -m m.xml stream_buffer=True", "cameras keep the freshest", "leave it out"),
    Same("detect clip.mp4 -m m.xml classes=[0,2]", "detect clip.mp4 -m m.xml --classes 0,2", is_run=True),
    Same("detect clip.mp4 -m m.xml imgsz=[64,96]", "detect clip.mp4 -m m.xml --imgsz 64x96", is_run=True),
    Same(
        "detect clip.mp4 -m m.xml vid_stride=5 max_det=3",
        "detect clip.mp4 -m m.xml --stride 5 --max-det 3",
        is_run=True,
    ),
    Same("detect clip.mp4 -m m.xml agnostic_nms=True iou=0.7", "detect clip.mp4 -m m.xml --agnostic-nms --iou 0.7"),
    Same("detect clip.mp4 -m m.xml retina_masks=True", "detect clip.mp4 -m m.xml"),
    Same("detect clip.mp4 -m m.xml verbose=False", "detect clip.mp4 -m m.xml --quiet"),
    Same("detect clip.mp4 -m m.xml rect=False", "detect clip.mp4 -m m.xml --shape square"),
    Same("detect clip.mp4 -m m.xml save_txt=labels", "detect clip.mp4 -m m.xml --save-txt labels"),
    Told("detect clip.mp4 -m m.xml save=True", "save: where to?", "--save out.mp4"),
    Told("detect clip.mp4 -m m.xml save_txt=True", "save_txt: where to?", "--save-txt labels/"),
    Told("detect clip.mp4 -m m.xml save_crop=True", "save_crop: where to?", "--save-crop crops/"),
    Told("detect clip.mp4 -m m.xml save_frames=True", "frames of pictures", "--save folder/"),
    Same(
        "predict model=m.xml source=photo.png project=runs name=exp",
        "detect photo.png --model m.xml --save runs/exp/",
        is_run=True,
    ),
    Same(
        "predict model=m.xml source=photo.png project=runs name=exp save_crop=True",
        "detect photo.png --model m.xml --save runs/exp/ --save-crop runs/exp/crops/",
    ),
    Same("detect clip.mp4 -m m.xml show_labels=False", "detect clip.mp4 -m m.xml --hide-labels"),
    Same("detect clip.mp4 -m m.xml show_fps=False", "detect clip.mp4 -m m.xml --hide-throughput"),
    Same("detect clip.mp4 -m m.xml show_conf=False", "detect clip.mp4 -m m.xml --hide-conf"),
    Told("detect clip.mp4 -m m.xml show_boxes=False", "boxes are always drawn", "leave it out"),
    Same(
        "val model=m.xml data=coco.yaml project=runs name=val",
        "eval --model m.xml --data coco.yaml --save-dir runs/val",
    ),
    Told("val model=m.xml data=coco.yaml save_json=True", "named by file", "--coco-json"),
    Told("val model=m.xml data=coco.yaml plots=True", "pictures go to a folder", "--save-dir FOLDER"),
    Told("val model=m.xml source=photos", "by --data", "--data coco.yaml"),
)

YOLOV5 = (
    Same("detect --weights m.xml --source clip.mp4", "detect clip.mp4 --model m.xml", is_run=True),
    Same("detect.py --weights m.xml --source clip.mp4 --conf-thres 0.4", "detect clip.mp4 --model m.xml --conf 0.4"),
    Told(
        "--weights m.xml --source clip.mp4", "--weights: is no option of keepbusy itself", "keepbusy detect --weights"
    ),
    Same("detect clip.mp4 -m m.xml --conf_thres 0.4 --iou-thres 0.6", "detect clip.mp4 -m m.xml --conf 0.4 --iou 0.6"),
    Same("detect clip.mp4 -m m.xml --classes 0 2", "detect clip.mp4 -m m.xml --classes 0,2", is_run=True),
    Same("detect clip.mp4 -m m.xml classes=red,blue", "detect clip.mp4 -m m.xml --classes red,blue", is_run=True),
    Told("detect -m m.xml --classes 0 2", "is 2 a class or a camera?", "--classes 0,2"),
    Same("detect clip.mp4 -m m.xml --imgsz 64 96", "detect clip.mp4 -m m.xml --imgsz 64x96", is_run=True),
    Same("detect clip.mp4 -m m.xml --img 640", "detect clip.mp4 -m m.xml --imgsz 640"),
    Same("detect clip.mp4 -m m.xml --img-size 640", "detect clip.mp4 -m m.xml --imgsz 640"),
    Same("detect clip.mp4 -m m.xml --half", "detect clip.mp4 -m m.xml --precision f16"),
    Same("detect clip.mp4 -m m.xml --view-img", "detect clip.mp4 -m m.xml --show"),
    Same("detect clip.mp4 -m m.xml --nosave", "detect clip.mp4 -m m.xml", is_run=True),
    Same("detect clip.mp4 -m m.xml --vid-stride 5", "detect clip.mp4 -m m.xml --stride 5", is_run=True),
    Same("detect clip.mp4 -m m.xml --stream", "detect clip.mp4 -m m.xml"),
    Same("detect clip.mp4 -m m.xml --agnostic", "detect clip.mp4 -m m.xml --agnostic-nms"),
    Same("detect clip.mp4 -m m.xml --data names.yaml", "detect clip.mp4 -m m.xml --names names.yaml", is_run=True),
    Same("detect clip.mp4 -m m.xml --line-thickness 3", "detect clip.mp4 -m m.xml --line-width 3"),
    Same("detect clip.mp4 -m m.xml --line_width 3 --hide_conf", "detect clip.mp4 -m m.xml --line-width 3 --hide-conf"),
    Same("detect clip.mp4 -m m.xml --save_txt out", "detect clip.mp4 -m m.xml --save-txt out"),
    Same(
        "detect photo.png -m m.xml --project runs --name exp --exist-ok --save-txt --save-conf",
        "detect photo.png -m m.xml --exist-ok --save-conf --save runs/exp/ --save-txt runs/exp/labels/",
        is_run=True,
    ),
    Same(
        "detect photo.png -m m.xml --project runs --nosave --save-crop",
        "detect photo.png -m m.xml --save-crop runs/crops/",
        is_run=True,
    ),
    Told("detect clip.mp4 -m m.xml --save-txt", "--save-txt: where to?", "--save-txt labels/"),
    Told("detect clip.mp4 -m m.xml --save-crop --conf 0.4", "--save-crop: where to?", "--save-crop crops/"),
    Told("detect clip.mp4 -m m.xml --save", "--save: where to?", "--save out.mp4"),
    Told("detect clip.mp4 -m m.xml --save-conf", "no labels are written", "--save-txt FOLDER"),
    Told("detect clip.mp4 -m m.xml --save-csv", "there are no CSV files", "--json out.jsonl"),
    Told("detect clip.mp4 -m m.xml --save-format 1", "labels are in YOLO's format", "--save-txt FOLDER"),
    Told("detect clip.mp4 -m m.xml --augment", "no test-time augmentation", "--imgsz"),
    Told("detect clip.mp4 -m m.xml --update", "models are not changed", "leave it out"),
    Told("detect clip.mp4 -m m.xml --dnn", "models run on OpenVINO", "leave it out"),
    Told("detect clip.mp4 -m m.xml --batch 8", "not put together into batches", "--nireq"),
    Told("detect clip.mp4 -m m.xml --batch-size 8", "not put together into batches", "--nireq"),
    Told("detect clip.mp4 -m m.xml --workers 8", "threads are named by what they do", "--read-threads"),
    Told("detect clip.mp4 -m m.xml --device 0", "'0' is no device of OpenVINO", "GPU.1 or NPU"),
    Told("detect clip.mp4 -m m.xml --device cuda:0", "'cuda:0' is no device", "keepbusy devices"),
    Told("detect clip.mp4 -m m.xml --device mps", "'mps' is no device", "keepbusy devices"),
    Same("detect clip.mp4 -m m.xml --device cpu", "detect clip.mp4 -m m.xml --device CPU", is_run=True),
    Same("detect clip.mp4 -m m.xml --device intel:cpu", "detect clip.mp4 -m m.xml --device CPU"),
    Same("detect clip.mp4 -m m.xml --device intel:gpu", "detect clip.mp4 -m m.xml --device GPU"),
    Same("detect clip.mp4 -m m.xml --device gpu:1", "detect clip.mp4 -m m.xml --device GPU.1"),
    Told("bench clip.mp4 -m m.xml --view-img", "bench has no such option", "it is called --show here"),
    Told("bench clip.mp4 -m m.xml --project runs", "bench has no folder of results", "bench --help"),
)

BENCHMARK_APP = (
    Same("benchmark_app -m m.xml -i clip.mp4 -d CPU -t 5", "bench clip.mp4 -m m.xml -d CPU --seconds 5"),
    Same("bench -m m.xml -i clip.mp4 -hint throughput", "bench clip.mp4 -m m.xml --hint throughput"),
    Same("bench -m m.xml -i clip.mp4 -hint tput -nstreams 2", "bench clip.mp4 -m m.xml --hint throughput --nstreams 2"),
    Same(
        "bench -m m.xml -i clip.mp4 -nireq 4 -infer_precision f32", "bench clip.mp4 -m m.xml --nireq 4 --precision f32"
    ),
    Same("bench -m m.xml -i clip.mp4 -shape [1,3,384,640]", "bench clip.mp4 -m m.xml --imgsz 384x640"),
    Same("bench -m m.xml -i clip.mp4 -shape images[1,384,640,3]", "bench clip.mp4 -m m.xml --imgsz 384x640"),
    Same("bench -m m.xml -i clip.mp4 -cdir cache", "bench clip.mp4 -m m.xml --cache-dir cache"),
    Same("detect -m m.xml -i clip.mp4 -api sync", "detect clip.mp4 -m m.xml --mode sync", is_run=True),
    Same("detect -m m.xml -i clip.mp4 -nireq 2", "detect clip.mp4 -m m.xml --nireq 2", is_run=True),
    Same("detect -m m.xml -i clip.mp4 -niter 10", "detect clip.mp4 -m m.xml --limit 10", is_run=True),
    Same("detect -m m.xml -i clip.mp4 -nthreads 2", "detect clip.mp4 -m m.xml --threads 2"),
    Same("detect -m m.xml -i clip.mp4 -b 1", "detect clip.mp4 -m m.xml"),
    Told("bench -m m.xml -i clip.mp4 -api async", "both are measured", "a row for sync and one for async"),
    Told("bench -m m.xml -i clip.mp4 -b 8", "not put together into batches", "--nireq"),
    Told("bench -m m.xml -i clip.mp4 -pc", "timed by another command", "keepbusy model-info MODEL --profile"),
    Told("bench -m m.xml -i clip.mp4 -report_type average_counters", "reports are named by file", "--json report.json"),
    Told("bench -m m.xml -i clip.mp4 -json_stats", "reports are named by file", "--json report.json"),
    Told("bench -m m.xml -i clip.mp4 -niter 100", "a measurement has a length", "--seconds N"),
    Told("bench -m m.xml -i clip.mp4 -hint none", "'none' is none of the choices", "--nstreams"),
    Told("bench -m m.xml -i clip.mp4 -infer_precision int8", "'int8' is made once", "keepbusy optimize"),
    Told("bench -m m.xml -i clip.mp4 -ip u8", "how pixels are laid out is known", "keepbusy model-info"),
    Told("bench -m m.xml -i clip.mp4 -pin NO", "threads are pinned where that pays", "leave it out"),
    Told("bench -m m.xml -i clip.mp4 -nthreads 2", "bench has no such option", "it is called --threads here"),
    Told("bench -m m.xml -i clip.mp4 -load_config a.json", "options are kept in profiles", "keepbusy tune"),
    Told("detect -m m.xml -i clip.mp4 -t 5", "a run ends with its sources", "--limit N"),
)

OTHERS = (
    Same("detect -i clip.mp4 -m m.xml -o out.jsonl", "detect clip.mp4 -m m.xml --to out.jsonl", is_run=True),
    Same("detect -i clip.mp4 -m m.xml --output out.jsonl", "detect clip.mp4 -m m.xml --to out.jsonl"),
    Same("detect -i clip.mp4 -m m.xml -at yolov5", "detect clip.mp4 -m m.xml --family yolov5"),
    Same("detect -i clip.mp4 -m m.xml --max_detections 5", "detect clip.mp4 -m m.xml --max-det 5"),
    Same("detect -i clip.mp4 -m m.xml --no_show", "detect clip.mp4 -m m.xml"),
    Same("detect -i clip.mp4 -m m.xml --labels names.yaml", "detect clip.mp4 -m m.xml --names names.yaml"),
    Same("detect source=clip.mp4 model=m.xml threshold=0.4", "detect clip.mp4 --model m.xml --conf 0.4"),
    Told("detect clip.mp4 -m m.xml inference-interval=3", "not inferred has no result", "--stride N"),
    Told("gvadetect model=m.xml", "pipelines are not written as elements", "keepbusy detect SOURCE"),
    Same("detect -i clip.mp4 -m m.xml -an", "detect clip.mp4 -m m.xml --no-audio"),
    Same("detect -i clip.mp4 -m m.xml -frames:v 10", "detect clip.mp4 -m m.xml --limit 10"),
    Same(
        "detect -i clip.mp4 -m m.xml --save out.mp4 -c:v libx264",
        "detect clip.mp4 -m m.xml --save out.mp4 --encoder h264",
    ),
    Told("detect -i clip.mp4 -m m.xml -ss 10", "read from their beginning", "ffmpeg -ss 10"),
    Told("detect -i clip.mp4 -m m.xml -stream_loop -1", "for ever, or not at all", "--loop"),
    Told("detect -i clip.mp4 -m m.xml -r 10", "keeps its frame rate", "--stride N"),
    Told("detect -re -i clip.mp4 -m m.xml", "as fast as they can be", "leave it out"),
    Told("detect -y -i clip.mp4 -m m.xml", "without asking", "--exist-ok"),
    Told("quantize m.xml", "option of another command", "keepbusy optimize MODEL -o fast/ --int8"),
    Told("convert m.onnx", "read as they are", "--model best.onnx"),
)

MISTAKES = (
    Told("clip.mp4", "is a source, not a command", "keepbusy detect clip.mp4"),
    Told("m.xml clip.mp4", "is a model, not a command", "keepbusy detect SOURCE --model m.xml"),
    Told("detect m.xml clip.mp4", "m.xml: is a model, not a source", "--model m.xml"),
    Told("detct clip.mp4", "no such command", "did you mean keepbusy detect?"),
    Told("speed clip.mp4", "no such command", "did you mean keepbusy bench?"),
    Told("accuracy", "no such command", "did you mean keepbusy eval?"),
    Told("hardware", "no such command", "did you mean keepbusy devices?"),
    Told("inspect m.xml", "no such command", "did you mean keepbusy model-info?"),
    Told("xyzzy", "no such command", "the commands are batch, bench"),
    Told("detect clip.mp4 -m m.xml --cnof 0.4", "--cnof: keepbusy detect has no such option", "--conf 0..1"),
    Told("detect clip.mp4 -m m.xml --min-score 0.4", "no such option", "did you mean --conf"),
    Told("detect clip.mp4 -m m.xml --video x", "no such option", "did you mean SOURCE"),
    Told("detect clip.mp4 -m m.xml --resolution 640", "no such option", "did you mean --imgsz"),
    Told("detect clip.mp4 -m m.xml --gpu", "no such option", "did you mean --device"),
    Told("detect clip.mp4 -m m.xml --display", "no such option", "did you mean --show"),
    Told("detect clip.mp4 -m m.xml --skip-frames 2", "no such option", "did you mean --stride"),
    Told("detect clip.mp4 -m m.xml --max-frames 2", "no such option", "did you mean --limit"),
    Told("detect clip.mp4 -m m.xml --requests 2", "no such option", "did you mean --nireq"),
    Told("detect clip.mp4 -m m.xml --roi 0,0", "no such option", "did you mean --region"),
    Told("detect clip.mp4 -m m.xml --codec x264", "no such option", "did you mean --encoder"),
    Told("detect clip.mp4 -m m.xml --xyzzy", "no such option", "keepbusy detect --help"),
    Told("eval -m m.xml --data coco.yaml --dataset-split val", "no such option", "did you mean --split"),
    Told("models yolov5s", "takes no more words", "keepbusy models --help"),
    Told("eval -m m.xml", "--data: is missing", "--data DATA"),
    Told("detect clip.mp4 -m m.xml --conf 40", "is no number from 0 to 1", "--conf 0.4"),
    Told("detect clip.mp4 -m m.xml --conf 40%", "is no number from 0 to 1", "--conf 0.4"),
    Told("detect clip.mp4 -m m.xml --iou 0,6", "is no number from 0 to 1", "--iou 0.6"),
    Told("detect clip.mp4 -m m.xml --conf high", "--conf: high is no number", "--conf 0..1"),
    Told("detect clip.mp4 -m m.xml --limit 0", "--limit: 0 is out of range: give 1 or more", "--limit FRAMES"),
    Told("detect clip.mp4 -m m.xml --stride x", "--stride: x is no whole number", "--stride N"),
    Told("detect clip.mp4 -m m.xml --limit", "--limit: a value is missing", "--limit FRAMES"),
    Told("detect clip.mp4 -m m.xml --json --quiet", "--json: a value is missing", "--quiet is an option"),
    Told("detect clip.mp4 -m m.xml --nireq 0", "is not a number of requests", "auto, or 1 or more"),
    Told("detect clip.mp4 -m m.xml --imgsz big", "'big' is not a size", "384x640"),
    Told("detect clip.mp4 -m m.xml --shape 16:9", "'16:9' is not a shape", "rect"),
    Told("detect clip.mp4 -m m.xml --classes rde", "no class 'rde'", "did you mean red?"),
    Told("detect clip.mp4 --task pose", "--task pose", "leave --task out"),
    Told("detect clip.mp4 -m m.xml --task detecting", "'detecting'", "detect"),
    Told("detect clip.mp4 -m m.xml --precision f8", "'f8'", "f32, f16, bf16"),
    Told("detect clip.mp4 -m m.xml --device GPU.7", "there is no GPU.7", "keepbusy devices", code=1),
    Told("detect clip.mp4 -m gone.xml", "no such model file", "--model", code=1),
    Told("detect gone.mp4 -m m.xml", "no such file", "", code=1),
    Told("detect clip.mp4 -m m.xml --save out.doc", "unknown kind of file .doc", ".mp4"),
    Told("detect clip.mp4 -m m.xml --save clip.mp4", "clip.mp4", ""),
    Told("detect clip.mp4 -m m.xml --to nothing:", "there is no kind of sink", "the kinds are"),
    Told("detect clip.mp4 -m m.xml --region 0,0,500,500", "are these pixels?", "shares of the frame"),
    Told("detect clip.mp4 -m m.xml --show", "no window can be opened", "opencv-python", code=1),
    Same("detect clip.mp4 -m m.xml --precision fp16", "detect clip.mp4 -m m.xml --precision f16"),
    Same("detect clip.mp4 -m m.xml --task detection", "detect clip.mp4 -m m.xml --task detect", is_run=True),
    Same("detect clip.mp4 -m m.xml --quiet=true", "detect clip.mp4 -m m.xml --quiet"),
)

SECTIONS: tuple[tuple[str, tuple[Row, ...]], ...] = (
    ("Ultralytics", ULTRALYTICS),
    ("YOLOv5", YOLOV5),
    ("benchmark_app", BENCHMARK_APP),
    ("DL Streamer, FFmpeg, OpenVINO's demos", OTHERS),
    ("Mistakes", MISTAKES),
)

_HEAD = """# Words of other programs

What you type as you are used to it works where it means the same in keepbusy. Everything else that is known ends with
one error and one hint that names keepbusy's own word, before anything is read. Hyphens and underscores are the same,
and so are `--conf 0.4`, `--conf=0.4` and `conf=0.4`. A file of that name always comes first: `a=b.mp4` is a file where
there is one.

`--project P --name N` put results into `P/N`: annotated frames there, labels in `P/N/labels`, crops in `P/N/crops`.
Without them every output names its own place; nothing is written that has none.

Every row is a test. Here `m.xml` is a model and `clip.mp4` a video.
"""


_PYTHON_HEAD = """
## In Python

Options belong to the `Detector` or `Pipeline`, not to its calls. What is known of other libraries is answered by an
error that names ours. Here `detector`, `pipeline`, `image` and `found` are what their names say.

| Python | error | hint |
| --- | --- | --- |
"""


def page() -> str:
    """`docs/reference/habits.md`."""
    parts = [_HEAD]
    for title, rows in SECTIONS:
        parts.append(f"\n## {title}\n\n| `keepbusy …` | what happens |\n| --- | --- |\n")
        parts += [f"| `{_cell(row.typed)}` | {_outcome(row)} |\n" for row in rows]
    parts.append(_PYTHON_HEAD)
    parts += [f"| `{_cell(row.typed)}` | *{_cell(row.error)}* | *{_cell(row.hint)}* |\n" for row in PYTHON]
    return "".join(parts)


def _outcome(row: Row) -> str:
    if isinstance(row, Same):
        return f"as `{_cell(row.ours)}`"
    hint = f"; hint: *{_cell(row.hint)}*" if row.hint else ""
    return f"error: *{_cell(row.error)}*{hint}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
