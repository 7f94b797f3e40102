"""FastAPI under uvicorn, as most model services begin: a process a core, each request runs alone.

uvicorn --app-dir crates/ml-bench/rivals fastapi_server:app --port 8101 --workers 2 --no-access-log
"""

from fastapi import FastAPI

from models import MODEL

app = FastAPI()
cleaner = MODEL.Cleaner()
predictor = MODEL.Predictor()


@app.post("/predict")
async def predict(item: MODEL.Item) -> MODEL.Answer:
    """Answers one item on the process's one thread, which is at nothing else meanwhile."""
    return predictor.predict_batch([cleaner.clean(item)])[0]


@app.post("/predict_plain")
def predict_plain(item: MODEL.Item) -> MODEL.Answer:
    """Answers one item on a pool of forty threads, which share the process's one core: for code that blocks."""
    return predictor.predict_batch([cleaner.clean(item)])[0]


@app.post("/predict_batch")
async def predict_batch(items: list[MODEL.Item]) -> list[MODEL.Answer]:
    """Answers what one caller sends together, in one run."""
    return predictor.predict_batch([cleaner.clean(item) for item in items])


@app.get("/health")
async def health() -> str:
    """Says that the model is loaded."""
    return "ready"
