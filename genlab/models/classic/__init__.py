"""Classic networks. The family's letters: x an input, theta the parameters, y the class, y_hat the prediction."""

from genlab.models.classic.cnn import CNN, CNNConfig
from genlab.models.classic.mlp import MLP, MLPConfig
from genlab.models.classic.reader import Reader, ReaderConfig

__all__ = ["CNN", "MLP", "CNNConfig", "MLPConfig", "Reader", "ReaderConfig"]
