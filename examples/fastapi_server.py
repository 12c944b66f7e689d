"""A web service that detects what is in the pictures that it is sent.

pip install fastapi uvicorn
uvicorn examples.fastapi_server:app
curl --data-binary @photo.jpg 'http://127.0.0.1:8000/detect?conf=0.4'
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException, Request

import keepbusy as kb
from keepbusy.embedded import embedded_model


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One detector for all requests: calls that come at the same time share the device."""
    with kb.Detector(embedded_model(), conf=0.1) as app.state.detector:
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/detect")
async def detect(request: Request, conf: float = 0.25) -> dict[str, Any]:
    """What is in the picture that is the request's body: JPEG, PNG, WebP, ..."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > 20_000_000:
            raise HTTPException(413, "more than 20 MB")
    try:
        found = await app.state.detector.detect(body)
    except kb.FrameError as error:
        raise HTTPException(422, str(error)) from error
    return found.where(conf=conf).to_dict()
