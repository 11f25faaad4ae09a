"""Deformable part models: mixtures of star models, learned by a latent SVM."""
