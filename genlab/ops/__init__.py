"""Pure functions on tensors: rotations, kinematics, skinning."""
