"""A bundle as a web service.

pip install fastapi uvicorn
BUNDLE=my-model uvicorn service:app
curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' http://127.0.0.1:8000/predict
"""

import os
from typing import Annotated, Any

from fastapi import Body, FastAPI, HTTPException

from thaw import load_bundle

app, bundle = FastAPI(), load_bundle(os.environ["BUNDLE"])


@app.post("/predict")
def predict(photo: Annotated[bytes, Body(media_type="image/*")]) -> dict[str, Any]:
    [prediction] = bundle.predict(photo)
    if prediction.rejected:
        raise HTTPException(422, prediction.rejected)
    return {"labels": prediction.labels, "probabilities": prediction.probabilities}
