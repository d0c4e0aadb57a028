"""Running a model over many images: loops in eval mode, streams of images, random numbers, running means."""
