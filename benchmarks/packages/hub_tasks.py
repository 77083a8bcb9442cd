"""KerasHub's task models: backbones with heads."""

from __future__ import annotations

import keras
import keras_hub

from benchmarks.packages import hub_text, hub_vision

M = keras_hub.models


def segformer() -> keras.Model:
    """SegFormer: a class for each pixel."""
    backbone = M.SegFormerBackbone(image_encoder=hub_vision.mit(), projection_filters=32)
    return M.SegFormerImageSegmenter(backbone, num_classes=5)


def deeplab() -> keras.Model:
    """DeepLabV3+: a class for each pixel."""
    backbone = M.DeepLabV3Backbone(
        image_encoder=hub_vision.resnet(),
        low_level_feature_key="P2",
        spatial_pyramid_pooling_key="P4",
        dilation_rates=[2, 4],
        upsampling_size=4,
    )
    return M.DeepLabV3ImageSegmenter(backbone, num_classes=5, activation="softmax")


def retinanet() -> keras.Model:
    """RetinaNet: boxes and classes of all anchors, before suppression."""
    from keras_hub.src.models.retinanet.retinanet_label_encoder import RetinaNetLabelEncoder

    levels = {"min_level": 3, "max_level": 4}
    backbone = M.RetinaNetBackbone(image_encoder=hub_vision.resnet(), use_p5=False, **levels)
    anchors = keras_hub.layers.AnchorGenerator(
        "yxyx", num_scales=3, aspect_ratios=[0.5, 1.0, 2.0], anchor_size=4, **levels
    )
    return M.RetinaNetObjectDetector(
        backbone,
        num_classes=4,
        bounding_box_format="yxyx",
        anchor_generator=anchors,
        label_encoder=RetinaNetLabelEncoder(anchors, "yxyx"),
    )


def segment_anything() -> keras.Model:
    """Segment Anything: masks of points, boxes and masks in images."""
    backbone = M.SAMBackbone(
        image_encoder=hub_vision.vit_det(),
        prompt_encoder=keras_hub.layers.SAMPromptEncoder(
            hidden_size=16, image_embedding_size=(8, 8), input_image_size=(128, 128), mask_in_channels=16
        ),
        mask_decoder=keras_hub.layers.SAMMaskDecoder(
            num_layers=2,
            hidden_size=16,
            intermediate_dim=32,
            num_heads=4,
            embedding_dim=16,
            num_multimask_outputs=3,
            iou_head_depth=3,
            iou_head_hidden_dim=8,
        ),
    )
    return M.SAMImageSegmenter(backbone)


MODELS = {
    "KerasHub: image classifier (ResNet)": lambda: M.ImageClassifier(hub_vision.resnet(), num_classes=10),
    "KerasHub: image classifier (ViT)": lambda: M.ViTImageClassifier(
        hub_vision.MODELS["KerasHub: ViT"](), num_classes=10, pooling="token"
    ),
    "KerasHub: SegFormer": segformer,
    "KerasHub: DeepLabV3+": deeplab,
    "KerasHub: RetinaNet": retinanet,
    "KerasHub: Segment Anything": segment_anything,
    "KerasHub: text classifier (BERT)": lambda: M.BertTextClassifier(
        hub_text.MODELS["KerasHub: BERT"](), num_classes=4
    ),
    "KerasHub: masked language model (RoBERTa)": lambda: M.RobertaMaskedLM(
        hub_text.MODELS["KerasHub: RoBERTa"]()
    ),
    "KerasHub: causal language model (GPT-2)": lambda: M.GPT2CausalLM(hub_text.MODELS["KerasHub: GPT-2"]()),
    "KerasHub: causal language model (Llama)": lambda: M.LlamaCausalLM(hub_text.MODELS["KerasHub: Llama"]()),
}
