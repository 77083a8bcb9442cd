"""Metadata and dependencies of kerasnorm; build system and tool settings are in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
URL = "https://github.com/kerasnorm/kerasnorm"
VERSION = re.findall(r'^__version__ = "(.*)"$', (ROOT / "export/__init__.py").read_text(), re.MULTILINE)[0]

# Relative links lead nowhere on the page of a package index.
README = (ROOT / "README.md").read_text(encoding="utf-8")
README = re.sub(r"(!\[[^]]*\]\()(?!https?:)", rf"\1{URL}/raw/v{VERSION}/", README)
README = re.sub(r"(?<!!)(\[[^]]*\]\()(?!https?:|#)", rf"\1{URL}/blob/v{VERSION}/", README)

EXTRAS = {
    "excel": ["openpyxl>=3.1"],
    "torch": ["torch>=2.4"],
    "distributed": ["distributed>=2025.1.0"],
    "browser": ["playwright>=1.49"],
    "docs": ["mkdocs>=1.6,<2", "mkdocs-material>=9.6", "mkdocstrings[python]>=0.28"],
}
EXTRAS["test"] = [
    "pytest>=8.0",
    "pytest-xdist>=3.5",
    "ruff>=0.9",
    "mypy>=1.13",
    "hypothesis>=6.100",
    "jax>=0.4.35",
    "nbclient>=0.10",
    "ipykernel>=6.29",
    "types-openpyxl>=3.1",
    "build>=1.2.2",
    "twine>=6.0",
    *EXTRAS["excel"],
    *EXTRAS["distributed"],
    *EXTRAS["docs"],
]

setup(
    name="kerasnorm",
    version=VERSION,
    description="Batch, Layer and Group Normalization in Keras 3, compared; any Keras model as a fast ONNX graph",
    long_description=README,
    long_description_content_type="text/markdown",
    url=URL,
    project_urls={
        "Source": URL,
        "Issues": f"{URL}/issues",
        "Changelog": f"{URL}/blob/main/CHANGELOG.md",
    },
    keywords="keras tensorflow onnx onnxruntime batch-normalization layer-normalization group-normalization mnist",
    license="MIT",
    python_requires=">=3.10",
    # "." and not "src": an editable install is then a plain path that editors and type checkers follow.
    package_dir={"": "."},
    packages=find_packages(include=["kerasnorm*", "export*"]),
    package_data={"kerasnorm": ["py.typed", "study/page.html"], "export": ["py.typed", "web/static/*"]},
    # scripts/lower-bounds runs the tests with exactly the versions named here and in EXTRAS.
    install_requires=[
        "tensorflow>=2.19",
        "keras>=3.8",
        "numpy>=1.26.4",
        "onnx>=1.17",
        "onnx-ir>=0.1.13",
        "tf2onnx>=1.17",
        "onnxruntime>=1.20",
        "matplotlib>=3.8",
        "pillow>=10.3",
        "scikit-learn>=1.5",
        "scipy>=1.12",
        "jinja2>=3.1",
        "h5py>=3.11",
    ],
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": [
            "kerasnorm = kerasnorm.cli.main:cli",
            "kerasnorm-train = kerasnorm.cli.train:cli",
            "kerasnorm-compare = kerasnorm.cli.compare:cli",
            "kerasnorm-export = export.__main__:cli",
            "kerasnorm-infer = export.infer:cli",
            "kerasnorm-verify = export.verify:cli",
            "kerasnorm-web = export.web.__main__:cli",
        ]
    },
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Developers",
        "Intended Audience :: Education",
        "Intended Audience :: Science/Research",
        "Operating System :: OS Independent",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
)
