"""What a configuration of the server may say: types, ranges, defaults, and a JSON schema for editors."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from keepbusy.config import MAX_COUNT, MAX_DETECTIONS, MAX_TIMEOUT_S, MAX_WEIGHT, MIN_TIMEOUT_S, MIN_WEIGHT, Decoder
from keepbusy.errors import KeepbusyError
from keepbusy.sources.realtime import split_pace
from keepbusy.street import parse_street_spec

DEFAULT_PORT = 8090

MAX_STREAMS = 1024

MIN_FPS = 0.001
"""A frame in a quarter of an hour. Whoever wants less wants none."""

MIN_WAIT_S = 0.1
"""A source that fails at once is to fill neither the log nor a core."""

NAME_PATTERN = (
    r"^(?!\.{1,2}$)[^/\\\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]{0,64}$"
)
"""Of streams: they are parts of addresses, and of names of files. Two that differ must look different, too: no
characters that cannot be seen, or that turn the direction of writing."""

Share = Annotated[float, Field(ge=0, le=1)]
Point = tuple[Share, Share]
ClassList = list[str | int]


class Settings(BaseModel):
    """What all parts have in common: unknown keys are mistakes, and nothing changes once it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, regex_engine="python-re")


class Thresholds(Settings):
    """What becomes of the model's boxes."""

    conf: Share | None = None
    """Boxes below this confidence are dropped, 0 to 1."""
    class_conf: dict[str, Share] | None = None
    """Thresholds of single classes, by name or id: {person: 0.5}."""
    iou: Share | None = None
    """Boxes of one class that overlap a better one by more than this are dropped, 0 to 1."""
    max_det: int | None = Field(default=None, ge=1, le=MAX_DETECTIONS)
    """At most this many detections in a frame, the most confident ones."""
    classes: ClassList | None = None
    """Only these classes, by name or id."""
    region: list[Point] | None = Field(default=None, min_length=2, max_length=1000)
    """Only boxes that stand in this polygon: corners (x, y) as shares of the frame; two are those of a rectangle."""

    @field_validator("classes")
    @classmethod
    def _some(cls, classes: ClassList | None) -> ClassList | None:
        if classes is not None and not classes:
            raise ValueError("names no class: leave it out for all classes")
        return classes

    @property
    def thresholds(self) -> dict[str, Any]:
        """What was given of them."""
        return {name: value for name in Thresholds.model_fields if (value := getattr(self, name)) is not None}


class RetrySettings(Settings):
    """How a stream that failed is opened again."""

    first_wait_s: float = Field(default=1.0, ge=MIN_WAIT_S, le=86_400)
    """Seconds before the first attempt; each next wait is twice as long."""
    max_wait_s: float = Field(default=30.0, ge=MIN_WAIT_S, le=86_400)
    """The longest wait, seconds."""
    max_attempts: int | None = Field(default=None, ge=1)
    """Give up after so many failures in a row; by default never."""

    @model_validator(mode="after")
    def _in_order(self) -> RetrySettings:
        if self.max_wait_s < self.first_wait_s:
            raise ValueError("max_wait_s is below first_wait_s")
        return self


class StreamSettings(Thresholds):
    """One stream."""

    name: str = Field(default="", pattern=NAME_PATTERN)
    """What it is called, unique; `stream-1`, `stream-2`, ... where it is left out."""
    source: str = Field(min_length=1, max_length=4096, repr=False)
    """A camera's address (rtsp://...), a video, a camera's number, or synth:street. `${NAME}` takes a variable of the
    environment, for passwords."""
    max_fps: float | None = Field(default=None, ge=MIN_FPS, le=1000)
    """At most so many frames per second are looked at; the others are passed over undecoded where that is possible."""
    weight: float = Field(default=1.0, ge=MIN_WEIGHT, le=MAX_WEIGHT)
    """Its share of the device where streams compete for it."""
    max_age_ms: float | None = Field(default=1000.0, ge=1, le=86_400_000)
    """An older frame is not worth a place on the device, nor its result a sink; null for no limit."""
    stall_s: float = Field(default=3.0, ge=MIN_TIMEOUT_S, le=MAX_TIMEOUT_S)
    """After so many seconds without a frame its state is `stalled`. A network stream is given up after 10 s."""
    decoder: Decoder | None = None
    """As for all streams; null takes that one."""
    realtime: bool = True
    """Read a video or a synthetic scene at its own pace, as a camera: what `?realtime` behind the source does."""
    loop: bool = True
    """Begin such a video again when it ends."""
    retry: RetrySettings | None = RetrySettings()
    """How it is opened again when it fails; null: never."""
    sinks: list[Annotated[str, Field(min_length=1)]] = Field(default_factory=list, max_length=16)
    """Where its results go, as for `keepbusy detect --to`: out.jsonl, out.mp4, crops:found/."""

    @field_validator("source", mode="before")
    @classmethod
    def _number_of_a_camera(cls, source: Any) -> Any:
        return str(source) if isinstance(source, int) and not isinstance(source, bool) else source

    @field_validator("source")
    @classmethod
    def _no_blank(cls, source: str) -> str:
        if not source.strip():
            raise ValueError("is blank")
        return source

    @field_validator("source")
    @classmethod
    def _scene(cls, source: str) -> str:
        """What a scene is, is known now; whether files and cameras are there is seen when they are opened."""
        scene, _ = split_pace(source)
        if scene.startswith("synth:"):
            try:
                parse_street_spec(scene)
            except KeepbusyError as error:
                raise ValueError(error.message + (f" ({error.hint})" if error.hint else "")) from error
        return source


class TlsSettings(Settings):
    """HTTPS."""

    certificate: str
    """The certificate's file (PEM), with its chain."""
    key: str
    """The private key's file (PEM)."""


class ServerSettings(Settings):
    """The address, and who may do what."""

    host: str = Field(default="127.0.0.1", min_length=1)
    """The address to listen at. Anything but this machine's own (127.0.0.1, ::1, localhost) requires a token."""
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65_535)
    """The port; 0 takes a free one."""
    token: SecretStr | None = None
    """Whoever has it may do everything. 16 characters at least."""
    viewer_token: SecretStr | None = None
    """Whoever has it may look, and change nothing. 16 characters at least."""
    tls: TlsSettings | None = None
    """HTTPS instead of HTTP."""
    allowed_hosts: list[str] = []
    """Names under which the server is reached beside its own address: behind a proxy, or in a network with names."""
    allow_sources: list[Annotated[str, Field(min_length=1)]] = []
    """What clients may have opened as a stream: beginnings of addresses (rtsp://10.0.0.5/), folders, `synth:`. Nothing
    by default."""
    state_file: str | None = Field(default=None, min_length=1)
    """The file in which streams that clients have added are kept, for the next start. Without it they are gone then."""
    drain_s: float = Field(default=10.0, ge=0, le=3600)
    """How long ending may take: requests are answered and sinks finished meanwhile."""

    @field_validator("token", "viewer_token")
    @classmethod
    def _long(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and not re.fullmatch(r"[\x21-\x7e]{16,256}", token.get_secret_value()):
            raise ValueError("a token has 16 to 256 printable characters without blanks: `openssl rand -hex 24`")
        return token

    @model_validator(mode="after")
    def _differ(self) -> ServerSettings:
        if self.token and self.viewer_token and self.token == self.viewer_token:
            raise ValueError("viewer_token is the same as token")
        if self.viewer_token and not self.token:
            raise ValueError("viewer_token without token: nobody could change anything")
        return self


class LimitSettings(Settings):
    """What clients may ask for."""

    upload_bytes: int = Field(default=16 << 20, ge=1024, le=1 << 32)
    """Of one request's body, before and after it is unpacked."""
    picture_pixels: int = Field(default=50_000_000, ge=1, le=1 << 29)
    """Of one picture that is uploaded, by its header: it is refused before it is decoded."""
    pictures_per_request: int = Field(default=32, ge=1, le=1024)
    """Of one request."""
    waiting_requests: int = Field(default=64, ge=1, le=4096)
    """Pictures that may wait for the device; more are refused with 503."""
    request_timeout_s: float = Field(default=30.0, ge=0.1, le=3600)
    """How long a picture may take altogether, and a body to arrive."""
    requests_per_s: float = Field(default=50.0, ge=0.01, le=100_000)
    """From one address; bursts of twice as many are let through. Pages, health and metrics are not counted."""
    connections: int = Field(default=512, ge=4, le=65_536)
    """At once, of all clients."""
    viewers: int = Field(default=64, ge=1, le=4096)
    """Pages and listeners at once."""


class RequestSettings(Thresholds):
    """Pictures that come by HTTP."""

    weight: float = Field(default=1.0, ge=MIN_WEIGHT, le=MAX_WEIGHT)
    """Their share of the device beside the streams'."""


Side = Annotated[int, Field(ge=32, le=8192)]
Size = Side | tuple[Side, Side]

Step = Literal["throughput", "shed", "rate", "imgsz", "model"]


class OverloadSettings(Settings):
    """What is done where frames are lost for lack of device, and goes on being lost: one step after the other."""

    steps: list[Step] = ["throughput", "shed", "rate", "imgsz", "model"]
    """In this order: compile for throughput where the model was compiled for latency; do not decode frames that no
    other refers to; lower the rates; a smaller input (`imgsz`); another model (`model`). The last two only where they
    are given. [] for none."""
    after_s: float = Field(default=30.0, ge=1, le=86_400)
    """So long must frames be lost without a break before the next step is taken."""
    back_after_s: float = Field(default=120.0, ge=1, le=86_400)
    """So long must there be room before the last step is taken back. A step that is needed again soon waits twice as
    long."""
    min_fps: float = Field(default=1.0, ge=MIN_FPS, le=1000)
    """No stream's rate is lowered below this."""
    imgsz: list[Size] = Field(default_factory=list, max_length=8)
    """Sizes of smaller inputs, from the largest to the smallest: (height, width), pixels, or one side of a square. They
    find fewer small objects."""
    model: str | None = Field(default=None, min_length=1)
    """Another model with the same classes that takes less time, such as the same one in INT8."""


def area(imgsz: int | tuple[int, int]) -> int:
    """Pixels of an input."""
    return imgsz * imgsz if isinstance(imgsz, int) else imgsz[0] * imgsz[1]


class PageSettings(Settings):
    """The page."""

    max_fps: float = Field(default=10.0, ge=0.01, le=60)
    """Pictures per second of one tile, at most."""
    quality: int = Field(default=75, ge=10, le=95)
    """Of its JPEGs."""
    stale_after_s: float = Field(default=3.0, ge=0.1, le=3600)
    """A tile whose picture is older is shown grey, with its age."""


class ServeSettings(Thresholds):
    """The configuration of `keepbusy serve`."""

    model: str | None = None
    """A model's file, folder or name; the one that the package carries where it is left out."""
    names: str | list[str] | None = None
    """Class names, or the file that has them; by default the model's own."""
    device: str = "CPU"
    """OpenVINO's device name: CPU, GPU, NPU, AUTO:GPU,CPU."""
    device_timeout_s: float = Field(default=3.0, ge=0.001, le=86_400)
    """A device that takes longer for one frame is given up, and the model compiled anew. Compiling and first inferences
    do not count. Raise it for a model that takes a second or more for a frame."""
    device_retry_s: float = Field(default=60.0, ge=0.05, le=86_400)
    """Where the CPU stands in for a device that failed: how long until that is tried again."""
    imgsz: int | tuple[int, int] | None = None
    """The input's size (height, width), pixels, or one side of a square."""
    precision: Literal["f32", "f16", "bf16"] | None = None
    """Number type that the device computes in; by default the device's choice."""
    hint: Literal["latency", "throughput"] | None = None
    """OpenVINO's performance hint."""
    nireq: int | None = Field(default=None, ge=1, le=MAX_COUNT)
    """Infer requests in flight."""
    nstreams: int | None = Field(default=None, ge=1, le=MAX_COUNT)
    """Device streams."""
    threads: int | None = Field(default=None, ge=1, le=MAX_COUNT)
    """CPU threads for inference."""
    cache_dir: str | None = None
    """Folder for compiled models; by default in the user's cache."""
    decoder: Decoder = "auto"
    """What decodes H.264 and H.265: software; vaapi or qsv (hardware, by the installed ffmpeg program); auto measures
    once where there is such hardware. What really decodes is told by the API and the metrics."""
    server: ServerSettings = ServerSettings()
    limits: LimitSettings = LimitSettings()
    requests: RequestSettings = RequestSettings()
    page: PageSettings = PageSettings()
    overload: OverloadSettings = OverloadSettings()
    streams: list[StreamSettings] = Field(default_factory=list, max_length=MAX_STREAMS)

    @property
    def engine(self) -> dict[str, Any]:
        """What the model is compiled with: where it changes, the model is compiled anew."""
        names = ("model", "names", "device", "device_timeout_s", "imgsz", "precision", "hint", "nireq", "nstreams")
        return {name: getattr(self, name) for name in (*names, "threads", "cache_dir")}

    @property
    def engine_options(self) -> dict[str, Any]:
        """The options of `Pipeline` that were given, but for thresholds: each stream has its own."""
        beside = ("model", "names", "device")
        return {name: value for name, value in self.engine.items() if value is not None and name not in beside}

    def decoder_of(self, stream: StreamSettings) -> Decoder:
        """What is to decode a stream: its own choice, else that for all."""
        return stream.decoder or self.decoder

    def thresholds_of(self, one: Thresholds) -> dict[str, Any]:
        """The thresholds of a stream: its own, else those for all."""
        return {**self.thresholds, **one.thresholds}


def json_schema() -> dict[str, Any]:
    """The configuration's JSON schema, for editors."""
    schema = ServeSettings.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "keepbusy serve"}
