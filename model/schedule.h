/* schedule.h - the learning rate as a function of the step. Pure; any thread. */
#ifndef S4REC_SCHEDULE_H
#define S4REC_SCHEDULE_H
#include <stdint.h>

/* Rate of a step (from 1). Up to warmup_steps it grows linearly, lr step / warmup_steps. Then it stays lr (total_steps 0), or falls by
 * a half cosine: lr max(floor, (1 + cos(pi t)) / 2), t = (step - warmup_steps) / (total_steps - warmup_steps), from total_steps on
 * floor lr. floor is a share of lr, 0..1. */
float schedule_rate(float lr, uint64_t step, uint64_t warmup_steps, uint64_t total_steps, float floor);
#endif
