"""Mixed precision on CUDA, with boxes kept in single precision."""

import torch

__all__ = ["Precision", "keep_boxes_single"]


class Precision:
    """How a device computes: bfloat16 or half precision on CUDA, single on a CPU.

    Parameters
    ----------
    device : `torch.device`

    Attributes
    ----------
    name : str
        ``"float32"``, ``"bfloat16"`` or ``"float16"``.
    scaler : `torch.amp.GradScaler`
        Does something in half precision only, whose range is too small for gradients.
    """

    def __init__(self, device):
        self.device = device
        self.dtype = None
        if device.type == "cuda":
            self.dtype = (
                torch.bfloat16
                if torch.cuda.is_bf16_supported(including_emulation=False)
                else torch.float16
            )
        self.name = str(self.dtype or torch.float32).removeprefix("torch.")
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype == torch.float16)

    def context(self):
        """Context manager for a forward pass."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None)


def keep_boxes_single(model):
    """Give the offsets of boxes in single precision whatever computed them, in place.

    torchvision turns boxes into the type of the offsets, and the true boxes into that of the
    proposals. In bfloat16 the next number after 512 is 516: centres would be lost.

    Parameters
    ----------
    model : `torchvision.models.detection.FasterRCNN`
        Other models are left as they are.
    """
    if hasattr(model, "rpn") and not hasattr(model, "boxes_are_single"):
        model.boxes_are_single = True
        for part in (model.rpn.head, model.roi_heads.box_predictor):
            part.register_forward_hook(_single)
    return model


def _single(module, inputs, output):
    """Tensors, or lists of them, as float32."""
    return tuple(
        [one.float() for one in part] if isinstance(part, list) else part.float() for part in output
    )
