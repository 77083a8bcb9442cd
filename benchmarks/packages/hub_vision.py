"""KerasHub's backbones for images."""

from __future__ import annotations

from typing import Any

import keras
import keras_hub

M = keras_hub.models

_RESNET: dict[str, Any] = {
    "input_conv_filters": [64],
    "input_conv_kernel_sizes": [7],
    "stackwise_num_filters": [64, 32, 32],
    "stackwise_num_blocks": [1, 2, 1],
    "stackwise_num_strides": [1, 2, 2],
    "image_shape": (64, 64, 3),
}
_VIT: dict[str, Any] = {
    "image_shape": (56, 56, 3),
    "num_layers": 2,
    "hidden_dim": 32,
    "num_heads": 4,
}


def resnet(**other: Any) -> keras.Model:
    """ResNet, of bottleneck blocks unless told otherwise."""
    return M.ResNetBackbone(
        **{**_RESNET, "block_type": "bottleneck_block", "use_pre_activation": False, **other}
    )


def cspnet() -> keras.Model:
    """CSPDarkNet."""
    return M.CSPNetBackbone(
        stem_filters=16,
        stem_kernel_size=3,
        stem_strides=1,
        stackwise_strides=2,
        stackwise_depth=[1, 2, 2],
        stackwise_num_filters=[16, 24, 32],
        image_shape=(64, 64, 3),
        down_growth=True,
        bottle_ratio=(0.5, 1.0),
        block_ratio=(1.0, 0.5),
        expand_ratio=(2.0, 1.0),
        block_type="dark_block",
        stage_type="csp",
        stem_padding="same",
    )


def mobilenet() -> keras.Model:
    """MobileNetV3."""
    return M.MobileNetBackbone(
        stackwise_expansion=[[40, 56], [64, 144]],
        stackwise_num_blocks=[2, 2],
        stackwise_num_filters=[[16, 16], [24, 24]],
        stackwise_kernel_size=[[3, 3], [5, 5]],
        stackwise_num_strides=[[2, 1], [2, 1]],
        stackwise_se_ratio=[[None, None], [0.25, 0.25]],
        stackwise_activation=[["relu", "relu"], ["hard_swish", "hard_swish"], ["hard_swish"]],
        stackwise_padding=[[1, 1], [2, 2]],
        output_num_filters=64,
        input_activation="hard_swish",
        output_activation="hard_swish",
        input_num_filters=16,
        image_shape=(64, 64, 3),
        depthwise_filters=8,
        depthwise_stride=2,
        depthwise_residual=False,
        squeeze_and_excite=0.5,
        last_layer_filter=48,
    )


def mobilenet_v5() -> keras.Model:
    """MobileNetV5."""
    return M.MobileNetV5Backbone(
        stackwise_block_types=[["er"], ["uir", "uir"]],
        stackwise_num_blocks=[1, 2],
        stackwise_num_filters=[[24], [48, 48]],
        stackwise_strides=[[2], [2, 1]],
        stackwise_act_layers=[["relu"], ["relu", "relu"]],
        stackwise_exp_ratios=[[4.0], [6.0, 6.0]],
        stackwise_se_ratios=[[0.0], [0.0, 0.0]],
        stackwise_dw_kernel_sizes=[[0], [5, 5]],
        stackwise_dw_start_kernel_sizes=[[0], [0, 0]],
        stackwise_dw_end_kernel_sizes=[[0], [0, 0]],
        stackwise_exp_kernel_sizes=[[3], [0, 0]],
        stackwise_pw_kernel_sizes=[[1], [0, 0]],
        stackwise_num_heads=[[0], [0, 0]],
        stackwise_key_dims=[[0], [0, 0]],
        stackwise_value_dims=[[0], [0, 0]],
        stackwise_kv_strides=[[0], [0, 0]],
        stackwise_use_cpe=[[False], [False, False]],
        image_shape=(64, 64, 3),
        stem_size=16,
        use_msfa=False,
    )


def efficientnet() -> keras.Model:
    """EfficientNetV2."""
    return M.EfficientNetBackbone(
        stackwise_kernel_sizes=[3, 3, 3],
        stackwise_num_repeats=[1, 2, 2],
        stackwise_input_filters=[24, 24, 32],
        stackwise_output_filters=[24, 32, 48],
        stackwise_expansion_ratios=[1, 4, 4],
        stackwise_squeeze_and_excite_ratios=[0.0, 0.0, 0.25],
        stackwise_strides=[1, 2, 2],
        stackwise_block_types=["fused", "fused", "unfused"],
        stackwise_force_input_filters=[0] * 3,
        stackwise_nores_option=[False] * 3,
        width_coefficient=1.0,
        depth_coefficient=1.0,
        input_shape=(64, 64, 3),
    )


def mit() -> keras.Model:
    """The Mix-Transformer of SegFormer."""
    return M.MiTBackbone(
        layerwise_depths=[1, 2],
        image_shape=(64, 64, 3),
        hidden_dims=[16, 32],
        num_layers=2,
        layerwise_num_heads=[1, 2],
        layerwise_sr_ratios=[8, 4],
        max_drop_path_rate=0.1,
        layerwise_patch_sizes=[7, 3],
        layerwise_strides=[4, 2],
    )


def hgnet() -> keras.Model:
    """HGNetV2."""
    return M.HGNetV2Backbone(
        embedding_size=32,
        stem_channels=[3, 16, 32],
        hidden_act="relu",
        use_learnable_affine_block=True,
        image_shape=(64, 64, 3),
        depths=[1, 1],
        hidden_sizes=[64, 128],
        stackwise_stage_filters=[[32, 16, 64, 1, 1, 3], [64, 32, 128, 1, 1, 3]],
        apply_downsample=[False, True],
        use_lightweight_conv_block=[False, True],
        out_features=["stem", "stage1", "stage2"],
    )


def dino_v2(**other: Any) -> keras.Model:
    """DINOv2 for images of a fixed size."""
    return M.DINOV2Backbone(
        **{
            **_VIT,
            "patch_size": 14,
            "intermediate_dim": 64,
            "num_register_tokens": 0,
            "use_swiglu_ffn": False,
            **other,
        }
    )


def vit_det() -> keras.Model:
    """The image encoder of Segment Anything."""
    return M.ViTDetBackbone(
        hidden_size=32,
        num_layers=2,
        intermediate_dim=64,
        num_heads=4,
        global_attention_layer_indices=[1],
        patch_size=16,
        num_output_channels=16,
        window_size=2,
        image_shape=(128, 128, 3),
    )


def clip() -> keras.Model:
    """CLIP: similarities of images and texts."""
    from keras_hub.src.models.clip.clip_text_encoder import CLIPTextEncoder
    from keras_hub.src.models.clip.clip_vision_encoder import CLIPVisionEncoder

    return M.CLIPBackbone(
        CLIPVisionEncoder(16, 64, 2, 2, 128, name="vision_encoder", image_shape=(64, 64, 3)),
        CLIPTextEncoder(200, 64, 64, 2, 2, 128, max_sequence_length=24, name="text_encoder"),
        projection_dim=64,
    )


def siglip() -> keras.Model:
    """SigLIP: similarities of images and texts."""
    from keras_hub.src.models.siglip.siglip_text_encoder import SigLIPTextEncoder
    from keras_hub.src.models.siglip.siglip_vision_encoder import SigLIPVisionEncoder

    return M.SigLIPBackbone(
        SigLIPVisionEncoder(16, 64, 2, 2, 128, name="vision_encoder", image_shape=(64, 64, 3)),
        SigLIPTextEncoder(200, 64, 64, 2, 2, 128, max_sequence_length=64, name="text_encoder"),
    )


def vae() -> keras.Model:
    """The autoencoder of Stable Diffusion, encoder and decoder."""
    from keras_hub.src.models.vae.vae_backbone import VAEBackbone

    return VAEBackbone(
        encoder_num_filters=[32, 32],
        encoder_num_blocks=[1, 1],
        decoder_num_filters=[32, 32],
        decoder_num_blocks=[1, 1],
        sampler_method="mode",
        image_shape=(32, 32, 3),
    )


MODELS = {
    "KerasHub: ResNet": resnet,
    "KerasHub: ResNet V2": lambda: resnet(block_type="basic_block", use_pre_activation=True),
    "KerasHub: ResNet, any size": lambda: resnet(image_shape=(None, None, 3)),
    "KerasHub: CSPDarkNet": cspnet,
    "KerasHub: MobileNetV3": mobilenet,
    "KerasHub: MobileNetV5": mobilenet_v5,
    "KerasHub: EfficientNetV2": efficientnet,
    "KerasHub: DenseNet": lambda: M.DenseNetBackbone([2, 2, 2], growth_rate=8, image_shape=(64, 64, 3)),
    "KerasHub: VGG": lambda: M.VGGBackbone([1, 2], [16, 32], image_shape=(32, 32, 3)),
    "KerasHub: Xception": lambda: M.XceptionBackbone(
        [[16, 24], [32, 32], [48, 48]], [False, True, False], image_shape=(64, 64, 3)
    ),
    "KerasHub: MiT": mit,
    "KerasHub: ViT": lambda: M.ViTBackbone(**_VIT, patch_size=(14, 14), mlp_dim=64, use_mha_bias=True),
    "KerasHub: DeiT": lambda: M.DeiTBackbone(**_VIT, patch_size=14, intermediate_dim=64, use_mha_bias=True),
    "KerasHub: SwinTransformer": lambda: M.SwinTransformerBackbone(
        image_shape=(32, 32, 3), embed_dim=32, depths=(2, 2), num_heads=(2, 4), window_size=4
    ),
    "KerasHub: HGNetV2": hgnet,
    "KerasHub: DINOv2": dino_v2,
    "KerasHub: DINOv2 with registers": lambda: dino_v2(num_register_tokens=4, use_swiglu_ffn=True),
    "KerasHub: ViTDet": vit_det,
    "KerasHub: CLIP": clip,
    "KerasHub: SigLIP": siglip,
    "KerasHub: VAE": vae,
}
