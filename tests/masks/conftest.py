"""Property tests here say what holds, not how fast: a busy machine must not fail them."""

from hypothesis import settings

settings.register_profile("masks", deadline=None)
settings.load_profile("masks")
