"""What people use an autoencoder for, as functions: anomaly scores, imputation, compression, features.

Each goes through pictures in a stream (:mod:`zoo.pictures`) and has a command of its own.
"""
