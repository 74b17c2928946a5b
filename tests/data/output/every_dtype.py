# Writes every-dtype.safetensors: one tensor of each type the library (safetensors 0.8.0) knows and remap does, a name that JSON has to
# escape, a scalar and an empty tensor. Their order in the file is the library's.
#   pip install safetensors==0.8.0 && python every_dtype.py
import ctypes
import pathlib

from safetensors import TensorSpec, serialize

ELEMENT_BYTES = {
    "bool": 1, "uint8": 1, "int8": 1, "uint16": 2, "int16": 2, "uint32": 4, "int32": 4, "uint64": 8, "int64": 8,
    "float8_e4m3fn": 1, "float8_e5m2": 1, "float16": 2, "bfloat16": 2, "float32": 4, "float64": 8, "complex64": 8,
}
buffers = []  # TensorSpec holds addresses only


def spec(dtype, shape, data):
    buffers.append(ctypes.create_string_buffer(data, max(len(data), 1)))
    return TensorSpec(dtype=dtype, shape=shape, data_ptr=ctypes.addressof(buffers[-1]), data_len=len(data))


tensors = {}
for i, (dtype, size) in enumerate(ELEMENT_BYTES.items()):
    tensors["t_" + dtype] = spec(dtype, [3], bytes((i * 16 + j) % 256 for j in range(3 * size)))
tensors['a"\\\n\x01\x7fé😀/'] = spec("float32", [], b"\x01\x02\x03\x04")
tensors["empty"] = spec("int64", [0, 3], b"")
pathlib.Path(__file__).with_name("every-dtype.safetensors").write_bytes(serialize(tensors, {"format": "pt"}))
