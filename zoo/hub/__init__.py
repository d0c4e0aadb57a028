"""The Hugging Face Hub: run folders go there in one commit and come back pinned to it.

>>> from zoo import hub
>>> pushed = hub.push("./runs/my_images", "me/my-images")  # doctest: +SKIP
>>> hub.pull(str(pushed.address), to="somewhere")  # doctest: +SKIP
"""

from zoo.hub.download import Pulled, pull
from zoo.hub.plan import Plan
from zoo.hub.upload import Pushed, push
from zoo.schema.hub_address import Address

__all__ = ["Address", "Plan", "Pulled", "Pushed", "pull", "push"]
