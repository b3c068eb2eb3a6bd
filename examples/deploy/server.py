"""Serves an exported model of sequences over HTTP: ``python -m examples.deploy.server model.onnx [--port 8000]``.

    POST /predict  {"sequences": [[[0.1, 0.2], …], …]} → {"answers": [{"output": …}, …]}, sequences of any length
    WS   /stream   {"steps": [[0.1, 0.2], …]} → {"output": …}, the next piece; {"reset": true} begins a new sequence
    GET  /model    inputs, outputs, free axes, the comparison with the eager model, digests
    GET  /healthz  {"status": "ok"}

What does not fit is refused with status 422, or, in a stream, with {"error": …}, and changes nothing.
"""

import argparse
import json
from typing import Annotated, Any

from fastapi import Body, FastAPI, HTTPException, Request, WebSocket, WebSocketDisconnect
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from lucid.errors import LucidError

from .sequences import Model


def create(path: str, longest: int = 1000, most: int = 64) -> FastAPI:
    """Returns the application; it takes `most` sequences a request, of at most `longest` steps."""
    model, app = Model(path, longest), FastAPI(title="A model of sequences")
    metadata = {key: model.session.metadata.get(f"lucid.{key}") for key in ("axes", "verification")}
    parsed = {key: json.loads(text) if text else None for key, text in metadata.items()}
    described = {
        "inputs": list(map(str, model.session.inputs)),
        "outputs": list(map(str, model.session.outputs)),
        "axes": parsed["axes"],
        "parity": parsed["verification"] and parsed["verification"]["checks"],
        "digest": {part: model.session.metadata.get(f"lucid.{part}.sha256") for part in ("graph", "weights")},
    }

    def predict(
        sequences: Annotated[list[list[Any]], Body(embed=True, min_length=1, max_length=most)],
    ) -> dict[str, Any]:
        try:
            return {"answers": model.run([model.sequence(x, f"sequences[{i}]") for i, x in enumerate(sequences)])}
        except (ValueError, LucidError) as error:
            raise HTTPException(422, str(error)) from error

    def refuse(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        # FastAPI's own answer repeats the input, and fails if that has NaN.
        said = [f"{'.'.join(map(str, each['loc'][1:]))}: {each['msg']}" for each in error.errors()]
        return JSONResponse({"detail": "; ".join(said)}, 422)

    async def stream(socket: WebSocket) -> None:
        await socket.accept()
        try:
            state = model.session.stream(batch=1)
        except (ValueError, LucidError) as error:
            await socket.send_json({"error": str(error)})
            await socket.close(1008)
            return
        while True:
            try:
                message = json.loads(await socket.receive_text())
                if message == {"reset": True}:
                    state.reset()
                    await socket.send_json(message)
                    continue
                piece = model.sequence(message["steps"], "steps")
                outputs = await run_in_threadpool(lambda given: state(**given), model.given([piece]))
                await socket.send_json(model.answers(outputs, [len(piece)])[0])
            except WebSocketDisconnect:
                return
            except (KeyError, TypeError):
                await socket.send_json({"error": 'a message is {"steps": [...]} or {"reset": true}'})
            except (ValueError, LucidError) as error:
                await socket.send_json({"error": str(error)})

    app.add_exception_handler(RequestValidationError, refuse)
    app.post("/predict")(predict)
    app.websocket("/stream")(stream)
    app.get("/model")(lambda: described)
    app.get("/healthz")(lambda: {"status": "ok"})
    return app


def main() -> None:
    import uvicorn

    parser = argparse.ArgumentParser(
        prog="python -m examples.deploy.server", description="Serves a model of sequences."
    )
    parser.add_argument("model")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--longest", type=int, default=1000, help="the most steps of a sequence")
    parser.add_argument("--most", type=int, default=64, help="the most sequences of a request")
    given = parser.parse_args()
    try:
        app = create(given.model, given.longest, given.most)
    except (ValueError, LucidError) as error:
        parser.error(str(error))
    uvicorn.run(app, host=given.host, port=given.port)


if __name__ == "__main__":
    main()
