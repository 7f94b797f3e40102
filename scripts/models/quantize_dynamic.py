"""Quantises a model with onnxruntime.quantization, to compare with what `ml-bench variants` makes of the same file.

    .ml/python/bin/python scripts/models/quantize_dynamic.py MODEL OUT     after `python3 scripts/get.py reference`

Of its settings the best for a CPU with VNNI: signed weights, a scale for each channel, products with constants only.
"""

import sys

from onnx import TensorProto
from onnxruntime.quantization import QuantType, quantize_dynamic


def main(model, out):
    """Quantises products and tables."""
    options = {"MatMulConstBOnly": True, "DefaultTensorType": TensorProto.FLOAT}
    quantize_dynamic(model, out, weight_type=QuantType.QInt8, per_channel=True, extra_options=options)


if __name__ == "__main__":
    main(*sys.argv[1:])
