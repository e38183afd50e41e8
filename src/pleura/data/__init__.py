"""Training data: the index of images, splits by patient, cached pixels, augmentation, data sets.

Nothing is imported here, so that a command which needs one part does not pay for the others:
`pleura.data.index` (read, write, build), `pleura.data.splits`, `pleura.data.report`,
`pleura.data.sources`, `pleura.data.cache`, `pleura.data.augment`, `pleura.data.dataset`.
"""
