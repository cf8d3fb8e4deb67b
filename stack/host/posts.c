/* SPDX-License-Identifier: MIT */
#include "host/posts.h"

#include <stdlib.h>

#include "base/check.h"

void posts_init(struct posts *p)
{
    *p = (struct posts){0};
    CHECK(pthread_mutex_init(&p->lock, NULL) == 0);
}

void posts_finish(struct posts *p)
{
    free(p->waiting.posts);
    free(p->running.posts);
    pthread_mutex_destroy(&p->lock);
}

static void append(struct post_list *list, struct post post)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 16;
        list->posts = reallocarray(list->posts, list->capacity, sizeof(*list->posts));
        CHECK(list->posts);
    }
    list->posts[list->count++] = post;
}

bool posts_add(struct posts *p, void (*function)(void *), void *argument)
{
    pthread_mutex_lock(&p->lock);
    bool first = p->waiting.count == 0;
    append(&p->waiting, (struct post){function, argument});
    pthread_mutex_unlock(&p->lock);
    return first;
}

void posts_run(struct posts *p)
{
    pthread_mutex_lock(&p->lock);
    struct post_list due = p->waiting;
    p->waiting = p->running;
    pthread_mutex_unlock(&p->lock);

    for (size_t i = 0; i < due.count; i++)
        due.posts[i].function(due.posts[i].argument);
    due.count = 0;
    p->running = due;
}
