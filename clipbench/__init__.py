"""clipbench: does this device train CLIP correctly, and how fast?"""

__version__ = "0.2.0"
