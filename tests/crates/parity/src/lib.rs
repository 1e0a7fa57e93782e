//! The generated code of every fixture network, for the tests beside it.
#![deny(warnings)]

dln::include_compiled!("arithmetic");
dln::include_compiled!("attention");
dln::include_compiled!("autoencoder");
dln::include_compiled!("axes");
dln::include_compiled!("cnn");
dln::include_compiled!("convolutions");
dln::include_compiled!("dropout");
dln::include_compiled!("functions");
dln::include_compiled!("gan");
dln::include_compiled!("held");
dln::include_compiled!("lenet");
dln::include_compiled!("lstm");
dln::include_compiled!("mlp");
dln::include_compiled!("noise");
dln::include_compiled!("normalizations");
dln::include_compiled!("parts");
dln::include_compiled!("perceptron");
dln::include_compiled!("regression");
dln::include_compiled!("residual");
dln::include_compiled!("sampling");
dln::include_compiled!("sequence");
dln::include_compiled!("siamese");
dln::include_compiled!("steps");
dln::include_compiled!("transformer");
dln::include_compiled!("xor");
