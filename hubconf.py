"""For ``torch.hub.load(<this repository>, "conv_vae_mnist", source="local")``: every entry with weights."""

from collections.abc import Callable

import zoo
from zoo.models import Autoencoder
from zoo.system.devices import choose_device as _choose_device

dependencies = ["torch", "numpy", "PIL", "matplotlib", "pydantic", "safetensors"]


def _entry(name: str) -> Callable[..., Autoencoder]:
    def load(device: str = "cpu", pretrained: bool = True) -> Autoencoder:
        return zoo.load(name, device) if pretrained else zoo.build(zoo.recipe(name)).to(_choose_device(device))

    load.__name__ = name
    load.__doc__ = f"""{zoo.recipe(name).summary}.

    Args:
        device: where to put it; "auto" takes the best there is.
        pretrained: the trained model in eval mode; False: one with fresh weights.
    """
    return load


for _name in zoo.list_models(weights=True):
    globals()[_name] = _entry(_name)
