"""The machine: files, images as files, devices, seeds, threads that read ahead, processes."""
