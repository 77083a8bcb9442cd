"""Metadata and dependencies of kerasnorm; build system and tool settings are in pyproject.toml."""

from pathlib import Path

from setuptools import find_packages, setup

setup(
    name="kerasnorm",
    version="0.1.0",
    description="Batch, Layer and Group Normalization on a 9,680-parameter CNN in Keras 3: "
    "trained, compared, exported to ONNX",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.10",
    # "." and not "src": an editable install is then a plain path that editors and type checkers follow.
    package_dir={"": "."},
    packages=find_packages(include=["kerasnorm*", "export*"]),
    package_data={"kerasnorm": ["py.typed"], "export": ["py.typed"]},
    # scripts/lower-bounds runs the tests with exactly the versions named here.
    install_requires=[
        "tensorflow>=2.19",
        "keras>=3.8",
        "numpy>=1.26.4",
        "onnx>=1.17",
        "onnx-ir>=0.1.13",
        "tf2onnx>=1.16.1",
        "onnxruntime>=1.20",
        "matplotlib>=3.8",
        "pillow>=10.3",
        "scikit-learn>=1.5",
        "scipy>=1.12",
        "openpyxl>=3.1",
        "h5py>=3.11",
    ],
    extras_require={
        "test": [
            "pytest>=8.0",
            "ruff>=0.9",
            "mypy>=1.13",
            "hypothesis>=6.100",
            "jax>=0.4.35",
            "nbclient>=0.10",
            "ipykernel>=6.29",
            "types-openpyxl>=3.1",
        ],
    },
    entry_points={
        "console_scripts": [
            "kerasnorm-train = kerasnorm.cli.train:cli",
            "kerasnorm-compare = kerasnorm.cli.compare:cli",
            "kerasnorm-export = export.__main__:cli",
            "kerasnorm-infer = export.infer:cli",
            "kerasnorm-verify = export.verify:cli",
        ]
    },
    classifiers=[
        "Intended Audience :: Education",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
