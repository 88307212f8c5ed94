"""The networks as ONNX files; NOTICE.md says where their weights come from."""

from pathlib import Path

FOLDER = Path(__file__).parent
