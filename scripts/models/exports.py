"""Writes ONNX files that other programs' exporters make: scikit-learn's models, and the files of onnx's own tests.

    .ml/python/bin/python scripts/models/exports.py OUT_FOLDER     after `python3 scripts/get.py files`

Among onnx's tests are some 150 files that PyTorch and others wrote years ago.
"""

import shutil
import sys
from pathlib import Path

import onnx
from skl2onnx import to_onnx
from sklearn.cluster import KMeans
from sklearn.datasets import load_diabetes, load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    AdaBoostClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import ElasticNet, LogisticRegression, Ridge, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, PolynomialFeatures, StandardScaler
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier

CLASSIFIERS = [
    AdaBoostClassifier(random_state=0),
    DecisionTreeClassifier(random_state=0),
    GaussianNB(),
    GradientBoostingClassifier(n_estimators=20, random_state=0),
    KNeighborsClassifier(),
    LogisticRegression(max_iter=1000),
    MLPClassifier(max_iter=300, random_state=0),
    RandomForestClassifier(n_estimators=20, random_state=0),
    SGDClassifier(loss="log_loss", random_state=0),
    SVC(probability=True, random_state=0),
    make_pipeline(StandardScaler(), PCA(2), LogisticRegression()),
]

REGRESSORS = [
    ElasticNet(),
    ExtraTreesRegressor(n_estimators=10, random_state=0),
    GaussianProcessRegressor(),
    GradientBoostingRegressor(n_estimators=20, random_state=0),
    IsolationForest(n_estimators=10, random_state=0),
    KMeans(4, n_init=1, random_state=0),
    MLPRegressor(max_iter=300, random_state=0),
    RandomForestRegressor(n_estimators=10, random_state=0),
    Ridge(),
    SVR(),
    make_pipeline(MinMaxScaler(), PolynomialFeatures(2), Ridge()),
]


def main(out):
    """Writes all files."""
    write_scikit_learn(Path(out) / "scikit-learn")
    tests = Path(onnx.__file__).parent / "backend" / "test" / "data"
    folder = Path(out) / "onnx"
    folder.mkdir(parents=True, exist_ok=True)
    for model in tests.rglob("*.onnx"):
        shutil.copyfile(model, folder / f"{'-'.join(model.relative_to(tests).with_suffix('').parts)}.onnx")


def write_scikit_learn(folder):
    """Trains small models and writes them as skl2onnx does, with plain tensors for outputs."""
    folder.mkdir(parents=True, exist_ok=True)
    for models, (rows, target) in (
        (CLASSIFIERS, load_iris(return_X_y=True)),
        (REGRESSORS, load_diabetes(return_X_y=True)),
    ):
        rows = rows.astype("float32")
        for number, model in enumerate(models):
            model.fit(rows, target)
            options = {id(model): {"zipmap": False}} if models is CLASSIFIERS else None
            name = f"{number:02}-{type(model).__name__.lower()}.onnx"
            (folder / name).write_bytes(
                to_onnx(model, rows[:1], options=options, target_opset={"": 17, "ai.onnx.ml": 3}).SerializeToString()
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
