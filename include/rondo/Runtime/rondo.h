/*===- rondo.h - Status codes and messages of compiled mixers ---------------------------------------------*- C -*-===*/

#ifndef RONDO_RUNTIME_RONDO_H
#define RONDO_RUNTIME_RONDO_H

#ifdef __cplusplus
extern "C" {
#endif

/** What a compiled mixer returns. */
typedef enum rondo_status {
  RONDO_OK = 0,
  RONDO_MISSING_TENSOR = 1, /**< a tensor that is not optional is NULL */
  RONDO_WRONG_RANK = 2,
  RONDO_WRONG_SHAPE = 3, /**< a size differs from the compiled one, or sizes disagree between tensors */
  RONDO_WRONG_DTYPE = 4,
  RONDO_WRONG_STRIDE = 5,  /**< the stride of the last dimension is not 1 */
  RONDO_WRONG_DEVICE = 6,  /**< on a device that the function is not for, or on several */
  RONDO_NOT_A_NUMBER = 7,  /**< NaN in an input, looked for only when asked */
  RONDO_OUT_OF_MEMORY = 8, /**< the workspace is too small, or there is no memory for one */
  /* Of mixers compiled for a GPU: */
  RONDO_NO_DRIVER = 9,          /**< no CUDA driver, or one that is too old */
  RONDO_UNSUITABLE_DEVICE = 10, /**< no GPU, or not of the kind that the mixer was compiled for */
  RONDO_MISALIGNED = 11,        /**< an address or stride that is not a multiple of 16 bytes */
  RONDO_DRIVER_ERROR = 12       /**< the driver refused to load or launch; the message has its words */
} rondo_status;

/** One line about the last failure on this thread, naming the tensor; empty when there was none. */
const char *rondo_error_message(void);

#ifdef __cplusplus
}
#endif

#endif /* RONDO_RUNTIME_RONDO_H */
